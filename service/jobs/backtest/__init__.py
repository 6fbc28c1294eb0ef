"""Back-tests: replays of all accounts of an event log, by processes of this machine or by Spark."""
