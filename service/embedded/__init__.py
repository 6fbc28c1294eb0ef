"""Postgres and a Kafka-compatible broker from PyPI wheels: for trying out and for tests, never for production."""
