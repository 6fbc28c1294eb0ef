"""SQL of API keys, the analysts' role and exports."""
