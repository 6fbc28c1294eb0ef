"""Kafka Streams with exactly_once_v2, doing the same per-account fold and score."""
