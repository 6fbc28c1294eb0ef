"""The base of all benchmarks: servers, load, results and their files."""
