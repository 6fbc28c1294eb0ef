"""Columns' bytes to values of the domain and back."""
