"""Laws of the scoring core, tried on random histories and held against a slow oracle."""
