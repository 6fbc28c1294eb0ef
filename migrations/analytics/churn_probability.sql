-- The probability of churn at a score, by a scorecard's calibration; the same arithmetic as scoring/scorecards/calibration.py.
CREATE FUNCTION analytics.churn_probability(computed_score float8, calibration jsonb) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN computed_score IS NULL THEN NULL
        WHEN before.score IS NULL THEN after.probability
        WHEN after.score IS NULL THEN before.probability
        ELSE greatest(
            before.probability
                + (after.probability - before.probability) / (after.score - before.score)
                * (computed_score - before.score),
            after.probability
        )
    END
    FROM (SELECT) AS always
    LEFT JOIN LATERAL (
        SELECT (point ->> 0)::float8 AS score, (point ->> 1)::float8 AS probability
        FROM jsonb_array_elements(calibration -> 'probabilities') AS point
        WHERE (point ->> 0)::float8 <= computed_score ORDER BY 1 DESC LIMIT 1
    ) AS before ON true
    LEFT JOIN LATERAL (
        SELECT (point ->> 0)::float8 AS score, (point ->> 1)::float8 AS probability
        FROM jsonb_array_elements(calibration -> 'probabilities') AS point
        WHERE (point ->> 0)::float8 > computed_score ORDER BY 1 LIMIT 1
    ) AS after ON true
$$;

COMMENT ON FUNCTION analytics.churn_probability(float8, jsonb) IS
    'The probability of churn at a computed score, by a scorecard''s calibration; null without either.';

-- Like account_health_runs.sql, account_health_daily.sql and account_health.sql, with one more column.
CREATE OR REPLACE VIEW analytics.account_health_runs AS
SELECT run.account_id, run.first_day, run.last_day,
       coalesce((run.override ->> 'score')::float8, run.score) AS score,
       analytics.counting_band(run.band, run.override, card.document) AS band,
       run.score AS computed_score, run.band AS computed_band, run.coverage, run.scorecard, run.scorecard_version,
       run.override IS NOT NULL AS overridden,
       analytics.churn_probability(run.score, card.calibration) AS churn_probability
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

COMMENT ON COLUMN analytics.account_health_runs.churn_probability IS
    'The probability of churn at computed_score, by the calibration of the scorecard''s version; null without either.';

CREATE OR REPLACE VIEW analytics.account_health_daily AS
SELECT run.account_id, run.first_day + passed AS day, run.score, run.band, run.coverage, run.scorecard,
       run.scorecard_version, run.computed_score, run.computed_band, run.overridden,
       run.first_day AS run_first_day, run.last_day AS run_last_day, run.churn_probability
FROM analytics.account_health_runs AS run
CROSS JOIN LATERAL generate_series(0, run.last_day - run.first_day) AS passed;

COMMENT ON COLUMN analytics.account_health_daily.churn_probability IS
    'The probability of churn at computed_score, by the calibration of the scorecard''s version; null without either.';

CREATE OR REPLACE VIEW analytics.account_health AS
SELECT account_id, a.name, a.segment, a.stage, a.owner, a.seats, a.arr, a.started_on, a.renews_on, a.churned_on,
       a.parent_id,
       coalesce((counting.override ->> 'score')::float8, s.score) AS score,
       analytics.counting_band(s.band, counting.override, card.document) AS band,
       s.score AS computed_score, s.band AS computed_band, s.coverage, s.scorecard, s.scorecard_version, s.day,
       s.evaluated_at,
       counting.override IS NOT NULL AS overridden,
       counting.override ->> 'reason' AS override_reason,
       analytics.override_until(counting.override) AS override_expires_at,
       u.newest_at AS last_usage_at, t.newest_at AS last_ticket_at, v.newest_at AS last_survey_at,
       (SELECT count(*)::int
        FROM (SELECT DISTINCT ON (rule_id) rule_id, state FROM alerts
              -- An account that never had an alert has none to look for.
              WHERE alerts.account_id = CASE WHEN s.sequence > 0 THEN s.account_id END
              ORDER BY rule_id, sequence DESC) AS newest
        WHERE state = 'firing' AND EXISTS (SELECT FROM alert_rules AS r WHERE r.id = rule_id AND r.enabled)
       ) AS firing_alerts,
       (SELECT run.score FROM analytics.account_health_runs AS run
        WHERE run.account_id = s.account_id AND run.last_day >= (now() AT TIME ZONE 'UTC')::date - 7
              AND run.first_day <= (now() AT TIME ZONE 'UTC')::date - 7
        LIMIT 1) AS score_7d_ago,
       (SELECT run.score FROM analytics.account_health_runs AS run
        WHERE run.account_id = s.account_id AND run.last_day >= (now() AT TIME ZONE 'UTC')::date - 30
              AND run.first_day <= (now() AT TIME ZONE 'UTC')::date - 30
        LIMIT 1) AS score_30d_ago,
       analytics.churn_probability(s.score, card.calibration) AS churn_probability
-- Every account has a row in both. Joined in this order, a query of attributes alone reads nothing else.
FROM accounts AS a
LEFT JOIN scores AS s USING (account_id)
LEFT JOIN usage_states AS u USING (account_id)
LEFT JOIN ticket_states AS t USING (account_id)
LEFT JOIN survey_states AS v USING (account_id)
LEFT JOIN scorecards AS card ON card.name = s.scorecard AND card.version = s.scorecard_version
CROSS JOIN LATERAL (
    SELECT CASE WHEN coalesce(analytics.override_until(s.override) > now(), true) THEN s.override END AS override
) AS counting;

COMMENT ON COLUMN analytics.account_health.churn_probability IS
    'The probability of churn at computed_score, by the calibration of the scorecard''s version; null without either.';
