"""Scorecards: measures, curves, weights and bands, and the score that they give a state."""
