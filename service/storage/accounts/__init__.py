"""SQL of accounts: their states, scores, history and forecasts."""
