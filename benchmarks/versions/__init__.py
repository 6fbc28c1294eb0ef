"""`make bench-beside`: ingest of this version and of an earlier one at the same time."""
