"""What-if questions: a forecast without events, and the preview of a scorecard that isn't published yet."""
