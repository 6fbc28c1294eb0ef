CREATE VIEW analytics.account_health AS
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
        LIMIT 1) AS score_30d_ago
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

COMMENT ON VIEW analytics.account_health IS
    'Every account with its health as it stands. What isn''t selected isn''t worked out: firing_alerts and the scores of earlier days cost the most.';
COMMENT ON COLUMN analytics.account_health.account_id IS 'The account.';
COMMENT ON COLUMN analytics.account_health.name IS 'Attribute of the account.';
COMMENT ON COLUMN analytics.account_health.segment IS 'Attribute of the account.';
COMMENT ON COLUMN analytics.account_health.stage IS 'Attribute of the account.';
COMMENT ON COLUMN analytics.account_health.owner IS 'Attribute of the account: who looks after it.';
COMMENT ON COLUMN analytics.account_health.seats IS 'Attribute of the account: seats paid for.';
COMMENT ON COLUMN analytics.account_health.arr IS
    'Attribute of the account: annual recurring revenue, in the currency that it was sent in.';
COMMENT ON COLUMN analytics.account_health.started_on IS 'Attribute of the account: first day of the contract.';
COMMENT ON COLUMN analytics.account_health.renews_on IS 'Attribute of the account: day of the next renewal.';
COMMENT ON COLUMN analytics.account_health.churned_on IS 'Attribute of the account: the day it left; null if it hasn''t.';
COMMENT ON COLUMN analytics.account_health.parent_id IS 'Attribute of the account: the account that it belongs to.';
COMMENT ON COLUMN analytics.account_health.score IS
    'The score that counts, 0 to 100: set by hand, else computed. Null where too little is known.';
COMMENT ON COLUMN analytics.account_health.band IS 'The band that counts: green, yellow, red or unknown.';
COMMENT ON COLUMN analytics.account_health.computed_score IS 'The score that the scorecard gives.';
COMMENT ON COLUMN analytics.account_health.computed_band IS 'The band that the scorecard gives.';
COMMENT ON COLUMN analytics.account_health.coverage IS
    'Share of the scorecard''s weight that there is data for, 0 to 1.';
COMMENT ON COLUMN analytics.account_health.scorecard IS 'Name of the scorecard that made the score.';
COMMENT ON COLUMN analytics.account_health.scorecard_version IS 'Its version.';
COMMENT ON COLUMN analytics.account_health.day IS
    'The UTC day that the score is of. Yesterday''s for the moments until the account was looked at today.';
COMMENT ON COLUMN analytics.account_health.evaluated_at IS 'When the score was made; null until it first was.';
COMMENT ON COLUMN analytics.account_health.overridden IS 'Whether a score or band set by hand counts.';
COMMENT ON COLUMN analytics.account_health.override_reason IS 'Why it was set; null if none counts.';
COMMENT ON COLUMN analytics.account_health.override_expires_at IS 'Until when it counts; null is until it is taken back.';
COMMENT ON COLUMN analytics.account_health.last_usage_at IS 'Time of the newest usage event; null if there was none.';
COMMENT ON COLUMN analytics.account_health.last_ticket_at IS 'Time of the newest ticket event.';
COMMENT ON COLUMN analytics.account_health.last_survey_at IS 'Time of the newest survey answer.';
COMMENT ON COLUMN analytics.account_health.firing_alerts IS 'How many alert rules fire for the account.';
COMMENT ON COLUMN analytics.account_health.score_7d_ago IS
    'The score that counted 7 UTC days ago, at the end of that day; null if it isn''t known.';
COMMENT ON COLUMN analytics.account_health.score_30d_ago IS 'The same for 30 days ago.';
