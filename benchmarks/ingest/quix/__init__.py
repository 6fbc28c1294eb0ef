"""Quix Streams, in an environment of its own, doing the same per-account fold and score."""
