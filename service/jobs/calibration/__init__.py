"""Calibration of a scorecard on an event log and its outcomes, and the report of it."""
