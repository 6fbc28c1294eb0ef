"""`make bench-reads`: one account's health beside a bare route, and lists of a million accounts."""
