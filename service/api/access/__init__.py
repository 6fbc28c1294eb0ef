"""API keys, their scopes and rate limits."""
