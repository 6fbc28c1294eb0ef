"""All tests; what several of them need is in `tests.support`."""
