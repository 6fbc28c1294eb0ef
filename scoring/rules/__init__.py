"""Alert rules: their conditions, their state per account, and the crossings of thresholds."""
