"""Sends one request: addresses, DNS, TLS, signatures, OAuth tokens and Kafka."""
