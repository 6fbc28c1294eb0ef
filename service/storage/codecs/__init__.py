"""Converts the bytes of columns to domain values and back."""
