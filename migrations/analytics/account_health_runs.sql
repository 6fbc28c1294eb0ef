-- The effective band: the one set by hand, the scorecard's for a score set by hand, or the computed one; the same as
-- scoring/scorecards/override.py. A stored scorecard always has the limits of its bands.
CREATE FUNCTION analytics.counting_band(computed_band text, override json, scorecard jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN override ->> 'band' IS NOT NULL THEN override ->> 'band'
        WHEN override ->> 'score' IS NULL THEN computed_band
        WHEN (override ->> 'score')::float8 >= (scorecard -> 'bands' ->> 'green')::float8 THEN 'green'
        WHEN (override ->> 'score')::float8 >= (scorecard -> 'bands' ->> 'yellow')::float8 THEN 'yellow'
        ELSE 'red'
    END
$$;

-- The end of an override, stored in microseconds; null means that it stays until withdrawn.
CREATE FUNCTION analytics.override_until(override json) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT timestamptz '1970-01-01 00:00:00+00' + (override ->> 'expires_at')::bigint * interval '1 microsecond'
$$;

CREATE VIEW analytics.account_health_runs AS
SELECT run.account_id, run.first_day, run.last_day,
       coalesce((run.override ->> 'score')::float8, run.score) AS score,
       analytics.counting_band(run.band, run.override, card.document) AS band,
       run.score AS computed_score, run.band AS computed_band, run.coverage, run.scorecard, run.scorecard_version,
       run.override IS NOT NULL AS overridden
FROM (
    -- The current run. If its override has expired since the last evaluation, it is two: with the override, then without.
    SELECT account_id, coalesce(since, day) AS first_day, least(day, lapsed_on - 1) AS last_day, score, band, coverage,
           scorecard, scorecard_version, override
    FROM scores CROSS JOIN LATERAL (
        SELECT CASE WHEN analytics.override_until(override) <= now()
                    THEN (analytics.override_until(override) AT TIME ZONE 'UTC')::date END AS lapsed_on
    ) AS lapsed
    WHERE coalesce(since, day) <= least(day, lapsed_on - 1)
    UNION ALL
    SELECT account_id, greatest(coalesce(since, day), lapsed_on), day, score, band, coverage, scorecard,
           scorecard_version, NULL
    FROM scores CROSS JOIN LATERAL (
        SELECT (analytics.override_until(override) AT TIME ZONE 'UTC')::date AS lapsed_on
    ) AS lapsed
    WHERE analytics.override_until(override) <= now() AND lapsed_on <= day
    UNION ALL
    SELECT account_id, since, day, score, band, coverage, scorecard, scorecard_version, override FROM history
) AS run
LEFT JOIN scorecards AS card ON card.name = run.scorecard AND card.version = run.scorecard_version;

COMMENT ON VIEW analytics.account_health_runs IS
    'What accounts closed their days with, a row for each run of days on which all measures scored the same. Runs of an account follow each other without a gap; the last one is what stands.';
COMMENT ON COLUMN analytics.account_health_runs.account_id IS 'The account.';
COMMENT ON COLUMN analytics.account_health_runs.first_day IS 'The first UTC day of the run.';
COMMENT ON COLUMN analytics.account_health_runs.last_day IS
    'The last one. To ask for days from X on, ask for last_day >= X: months before X are then not read.';
COMMENT ON COLUMN analytics.account_health_runs.score IS
    'The score that counts, 0 to 100: set by hand, else computed. Null where too little is known.';
COMMENT ON COLUMN analytics.account_health_runs.band IS 'The band that counts: green, yellow, red or unknown.';
COMMENT ON COLUMN analytics.account_health_runs.computed_score IS 'The score that the scorecard gives.';
COMMENT ON COLUMN analytics.account_health_runs.computed_band IS 'The band that the scorecard gives.';
COMMENT ON COLUMN analytics.account_health_runs.coverage IS
    'Share of the scorecard''s weight that there is data for, 0 to 1.';
COMMENT ON COLUMN analytics.account_health_runs.scorecard IS 'Name of the scorecard that made the score.';
COMMENT ON COLUMN analytics.account_health_runs.scorecard_version IS 'Its version.';
COMMENT ON COLUMN analytics.account_health_runs.overridden IS 'Whether a score or band set by hand counted.';
