"""SQL of scorecards, alert rules, re-evaluations and sources."""
