"""Processes that fold Kafka records and the calendar into Postgres."""
