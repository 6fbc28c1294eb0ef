"""SQL of alerts, their digests, triage and routing."""
