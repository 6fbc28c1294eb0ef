"""Benchmarks: the service's throughput, and that of others on the same records."""
