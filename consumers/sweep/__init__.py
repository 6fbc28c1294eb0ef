"""The sweeper: accounts that are due without an event, forecasts, and the side jobs of the service."""
