"""What all benchmarks stand on: servers, load, results and their files."""
