"""Questions about what would be: a forecast without events, and a scorecard that isn't published yet."""
