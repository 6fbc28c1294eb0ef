"""Servers for tests and benchmarks. Nothing here imports pytest; `tests/conftest.py` makes fixtures of it."""
