"""`make bench-webhooks`: deliveries a second, and the time from an event to its webhook."""
