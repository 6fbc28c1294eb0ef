"""The demo's made-up customers: their lives, tickets and usage."""
