"""Quix Streams, in an environment of its own, doing the same per-account fold and score."""

FIRST = "first event at "
"""The word that its application prints before the moment of its first event."""
