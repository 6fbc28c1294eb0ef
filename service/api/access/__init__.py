"""Who may ask, and how often: API keys, their scopes and rate limits."""
