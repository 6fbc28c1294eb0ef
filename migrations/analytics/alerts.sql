CREATE VIEW analytics.alerts AS
SELECT id, created_at, account_id, data ->> 'account_name' AS account_name, rule, type, state,
       (data ->> 'score')::float8 AS score, (data ->> 'previous_score')::float8 AS previous_score,
       data ->> 'band' AS band, data ->> 'previous_band' AS previous_band, (data ->> 'threshold')::float8 AS threshold,
       (data -> 'drivers')::jsonb AS drivers, quiet, acknowledged_at, acknowledged_by, snoozed_until
FROM alerts;

COMMENT ON VIEW analytics.alerts IS 'Every alert: rules that began or ceased to hold, digests and notices.';
COMMENT ON COLUMN analytics.alerts.id IS 'The alert; webhooks send it as webhook-id.';
COMMENT ON COLUMN analytics.alerts.created_at IS 'When it was written. There is an index: ask for a range.';
COMMENT ON COLUMN analytics.alerts.account_id IS 'The account; null where the alert is about many or none.';
COMMENT ON COLUMN analytics.alerts.account_name IS 'The account''s name at the time.';
COMMENT ON COLUMN analytics.alerts.rule IS 'The rule''s name at the time.';
COMMENT ON COLUMN analytics.alerts.type IS 'health.threshold.crossed and so on: deploy/webhooks.md has them all.';
COMMENT ON COLUMN analytics.alerts.state IS
    'firing where an episode begins, resolved where it ends; digest for one that sums others up.';
COMMENT ON COLUMN analytics.alerts.score IS 'The score that counted after.';
COMMENT ON COLUMN analytics.alerts.previous_score IS 'The score that counted before.';
COMMENT ON COLUMN analytics.alerts.band IS 'The band that counted after.';
COMMENT ON COLUMN analytics.alerts.previous_band IS 'The band that counted before.';
COMMENT ON COLUMN analytics.alerts.threshold IS 'The rule''s level or number of points; null where it has none.';
COMMENT ON COLUMN analytics.alerts.drivers IS
    'What moved the score most: [{"measure": name, "delta": points}, …]; null where the alert is about no account.';
COMMENT ON COLUMN analytics.alerts.quiet IS 'Told to nobody but in a digest: it came of a backfill or a new scorecard.';
COMMENT ON COLUMN analytics.alerts.acknowledged_at IS 'When somebody took it on; null if nobody has.';
COMMENT ON COLUMN analytics.alerts.acknowledged_by IS 'Who took it on.';
COMMENT ON COLUMN analytics.alerts.snoozed_until IS 'Until when it is put off.';
