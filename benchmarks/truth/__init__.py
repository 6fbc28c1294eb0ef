"""`make bench-truth`: how well scores rank those who leave, on a log with known outcomes."""
