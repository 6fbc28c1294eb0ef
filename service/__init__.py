"""The shell around scoring: storage, HTTP API, webhook delivery, settings and commands."""
