"""`make bench-ingest`: ingest beside bare aiokafka, Quix Streams and Kafka Streams."""
