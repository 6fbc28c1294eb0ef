"""Loading history: event logs in files, published to Kafka as backfill."""
