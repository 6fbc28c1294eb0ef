-- Like portfolio_daily.sql, except that a churned account isn't counted from that day on: lists leave it out too.
CREATE OR REPLACE FUNCTION analytics.portfolio(from_day date, to_day date)
RETURNS TABLE (day date, segment text, stage text, band text, accounts bigint, arr numeric)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT bounds.first_day + passed, bounds.segment, bounds.stage, bounds.band, sum(bounds.accounts)::bigint,
           sum(bounds.arr)
    FROM (
        SELECT greatest(run.first_day, from_day) AS first_day,
               least(run.last_day, to_day, account.churned_on - 1) AS last_day,
               account.segment, account.stage, run.band, count(*) AS accounts, sum(account.arr) AS arr
        FROM analytics.account_health_runs AS run
        JOIN analytics.account_health AS account USING (account_id)
        WHERE run.last_day >= from_day AND run.first_day <= to_day
              AND coalesce(account.churned_on > greatest(run.first_day, from_day), true)
        GROUP BY 1, 2, 3, 4, 5
    ) AS bounds
    CROSS JOIN LATERAL generate_series(0, bounds.last_day - bounds.first_day) AS passed
    GROUP BY 1, 2, 3, 4
$$;
