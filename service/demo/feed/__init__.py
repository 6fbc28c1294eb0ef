"""The demo's events on their way into Kafka: first its history, then live."""
