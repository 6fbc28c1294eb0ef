"""Back-tests: an account's past, judged again from its events."""
