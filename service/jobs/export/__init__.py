"""Exporting what analysts read, to Parquet."""
