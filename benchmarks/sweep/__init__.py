"""`make bench-sweep`: the nightly sweep of a million accounts."""
