"""Benchmarks: what the service does in a second, beside what others do on the same records."""
