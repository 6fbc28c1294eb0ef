-- Like the view in churn_probability.sql, with the time of the newest usage from `scores`.
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
       s.usage_at AS last_usage_at, t.newest_at AS last_ticket_at, v.newest_at AS last_survey_at,
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
LEFT JOIN ticket_states AS t USING (account_id)
LEFT JOIN survey_states AS v USING (account_id)
LEFT JOIN scorecards AS card ON card.name = s.scorecard AND card.version = s.scorecard_version
CROSS JOIN LATERAL (
    SELECT CASE WHEN coalesce(analytics.override_until(s.override) > now(), true) THEN s.override END AS override
) AS counting;
