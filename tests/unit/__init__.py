"""One piece of code at a time, without servers."""
