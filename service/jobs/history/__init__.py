"""Replays loaded events into the history of the days before accounts were live."""
