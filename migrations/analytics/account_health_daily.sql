CREATE VIEW analytics.account_health_daily AS
SELECT run.account_id, run.first_day + passed AS day, run.score, run.band, run.coverage, run.scorecard,
       run.scorecard_version, run.computed_score, run.computed_band, run.overridden,
       run.first_day AS run_first_day, run.last_day AS run_last_day
FROM analytics.account_health_runs AS run
CROSS JOIN LATERAL generate_series(0, run.last_day - run.first_day) AS passed;

COMMENT ON VIEW analytics.account_health_daily IS
    'What accounts closed their UTC days with, a row for each account and day. Name an account, or days by run_last_day and run_first_day beside day: without, all of history is read.';
COMMENT ON COLUMN analytics.account_health_daily.account_id IS 'The account.';
COMMENT ON COLUMN analytics.account_health_daily.day IS
    'The UTC day. Today''s row is as of now; it is missing for the moments until the account was looked at today.';
COMMENT ON COLUMN analytics.account_health_daily.score IS
    'The score that counted, 0 to 100: set by hand, else computed. Null where too little was known.';
COMMENT ON COLUMN analytics.account_health_daily.band IS 'The band that counted: green, yellow, red or unknown.';
COMMENT ON COLUMN analytics.account_health_daily.coverage IS
    'Share of the scorecard''s weight that there was data for, 0 to 1.';
COMMENT ON COLUMN analytics.account_health_daily.scorecard IS 'Name of the scorecard that made the score.';
COMMENT ON COLUMN analytics.account_health_daily.scorecard_version IS 'Its version.';
COMMENT ON COLUMN analytics.account_health_daily.computed_score IS 'The score that the scorecard gave.';
COMMENT ON COLUMN analytics.account_health_daily.computed_band IS 'The band that the scorecard gave.';
COMMENT ON COLUMN analytics.account_health_daily.overridden IS 'Whether a score or band set by hand counted.';
COMMENT ON COLUMN analytics.account_health_daily.run_first_day IS
    'The first of the days that scored as this one. For days up to Y add: run_first_day <= Y.';
COMMENT ON COLUMN analytics.account_health_daily.run_last_day IS
    'The last of them. For days from X on add run_last_day >= X: months before X are then not read.';
