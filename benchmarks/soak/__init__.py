"""`make soak`: the whole service under load for minutes."""
