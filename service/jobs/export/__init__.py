"""Exporting the analysts' views to Parquet."""
