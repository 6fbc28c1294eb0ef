-- Runs are first counted by their bounds: an account with the same score for months is one row, and so are all alike.
CREATE FUNCTION analytics.portfolio(from_day date, to_day date)
RETURNS TABLE (day date, segment text, stage text, band text, accounts bigint, arr numeric)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT bounds.first_day + passed, bounds.segment, bounds.stage, bounds.band, sum(bounds.accounts)::bigint,
           sum(bounds.arr)
    FROM (
        SELECT greatest(run.first_day, from_day) AS first_day, least(run.last_day, to_day) AS last_day,
               account.segment, account.stage, run.band, count(*) AS accounts, sum(account.arr) AS arr
        FROM analytics.account_health_runs AS run
        JOIN analytics.account_health AS account USING (account_id)
        WHERE run.last_day >= from_day AND run.first_day <= to_day
        GROUP BY 1, 2, 3, 4, 5
    ) AS bounds
    CROSS JOIN LATERAL generate_series(0, bounds.last_day - bounds.first_day) AS passed
    GROUP BY 1, 2, 3, 4
$$;

COMMENT ON FUNCTION analytics.portfolio(date, date) IS
    'How many accounts closed each UTC day from from_day to to_day in which band, by the segment, stage and arr that they have today.';

CREATE VIEW analytics.portfolio_daily AS
SELECT day, segment, stage, band, accounts, arr
FROM analytics.portfolio((now() AT TIME ZONE 'UTC')::date - 89, (now() AT TIME ZONE 'UTC')::date);

COMMENT ON VIEW analytics.portfolio_daily IS
    'How many accounts closed each of the last 90 UTC days in which band. For other days: analytics.portfolio(from_day, to_day).';
COMMENT ON COLUMN analytics.portfolio_daily.day IS 'The UTC day; today is as of now.';
COMMENT ON COLUMN analytics.portfolio_daily.segment IS 'The segment that the accounts have today.';
COMMENT ON COLUMN analytics.portfolio_daily.stage IS 'The stage that the accounts have today.';
COMMENT ON COLUMN analytics.portfolio_daily.band IS 'The band that counted: green, yellow, red or unknown.';
COMMENT ON COLUMN analytics.portfolio_daily.accounts IS 'How many accounts.';
COMMENT ON COLUMN analytics.portfolio_daily.arr IS
    'Sum of the annual recurring revenue that they have today; null where none is known.';
