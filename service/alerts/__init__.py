"""Alerts: composed from crossings, summed up in digests, and notices to operators."""
