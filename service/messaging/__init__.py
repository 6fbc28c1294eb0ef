"""Kafka and CloudEvents: topics, clients, the producer, and the encoding of events."""
