"""Pure domain: events fold into state, state and a scorecard give a score, scores cross thresholds."""
