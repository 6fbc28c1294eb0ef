CREATE VIEW analytics.account_measures AS
SELECT s.account_id, coalesce(entry ->> 'name', entry ->> 'measure') AS name,
       entry ->> 'measure' AS measure, (entry ->> 'window')::int AS window_days, (entry ->> 'weight')::float8 AS weight,
       CASE json_typeof(reading) WHEN 'number' THEN (reading #>> '{}')::float8 END AS value,
       CASE json_typeof(reading) WHEN 'string' THEN reading #>> '{}' END AS missing,
       s.day, s.scorecard, s.scorecard_version
FROM scores AS s
JOIN scorecards AS card ON card.name = s.scorecard AND card.version = s.scorecard_version
-- Readings are in the order of the scorecard's measures.
CROSS JOIN LATERAL ROWS FROM (json_array_elements(s.readings), jsonb_array_elements(card.document -> 'measures'))
    AS paired (reading, entry);

COMMENT ON VIEW analytics.account_measures IS
    'What each measure of an account''s scorecard reads, as the score that stands was made of it.';
COMMENT ON COLUMN analytics.account_measures.account_id IS 'The account.';
COMMENT ON COLUMN analytics.account_measures.name IS 'The measure''s name in its scorecard.';
COMMENT ON COLUMN analytics.account_measures.measure IS 'Which measure it is: deploy/health.md has them all.';
COMMENT ON COLUMN analytics.account_measures.window_days IS 'The days it looks back on; null where it has no window.';
COMMENT ON COLUMN analytics.account_measures.weight IS 'Its weight in the scorecard.';
COMMENT ON COLUMN analytics.account_measures.value IS 'What it reads; null where that is missing.';
COMMENT ON COLUMN analytics.account_measures.missing IS 'Why the value is missing; null where it isn''t.';
COMMENT ON COLUMN analytics.account_measures.day IS 'The UTC day that it was read on.';
COMMENT ON COLUMN analytics.account_measures.scorecard IS 'Name of the scorecard.';
COMMENT ON COLUMN analytics.account_measures.scorecard_version IS 'Its version.';
