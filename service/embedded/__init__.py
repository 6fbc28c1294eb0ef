"""Postgres and a Kafka-compatible broker from PyPI wheels: for trials and tests, never for production."""
