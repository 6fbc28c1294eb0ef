"""SQL of webhook endpoints and the outbox of deliveries."""
