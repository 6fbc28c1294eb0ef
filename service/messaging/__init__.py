"""Kafka and CloudEvents: topics, clients, the producer, and events as they are encoded."""
