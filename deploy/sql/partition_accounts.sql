-- Splits the tables that grow with the number of accounts into hash partitions by account_id, within one Postgres.
--
-- It copies them in one transaction, all or nothing; readers and writers wait meanwhile. It works on a fresh database
-- and on one with data, and skips tables that are partitioned already. 16 partitions, or as many as you set:
--
--     PGOPTIONS='-c health.partitions=32' psql "$HEALTH_DATABASE_URL" -v ON_ERROR_STOP=1 -f deploy/sql/partition_accounts.sql
--
-- deploy/scaling.md explains when to use it, and the alternatives.

DO $$
DECLARE
    partitions int := coalesce(nullif(current_setting('health.partitions', true), ''), '16');
    name text;
    old regclass;
    index record;
    grants record;
    view record;
    views jsonb;
    triggers text[];
    trigger text;
    options text;
    kept text;
    before bigint;
    after bigint;
BEGIN
    -- In the order in which the service locks them, so that they can't deadlock.
    FOREACH name IN ARRAY ARRAY[
        'scores', 'accounts', 'ticket_states', 'survey_states', 'listed_accounts'
    ] LOOP
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', name);
        old := name::regclass;
        IF (SELECT relkind = 'p' FROM pg_class WHERE oid = old) THEN
            RAISE NOTICE '% is partitioned already', name;
            CONTINUE;
        END IF;

        -- The views on it, those of the schema analytics among them, as text: by its name they find the new table.
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'name', oid::regclass::text,
            'options', 'WITH (' || array_to_string(reloptions, ', ') || ')',
            'query', pg_get_viewdef(oid)
        )), '[]') INTO views
        FROM pg_class WHERE relkind = 'v' AND oid IN (
            SELECT ev_class FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid
            WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass AND refobjid = old
        );

        SELECT array_agg(pg_get_triggerdef(oid)) INTO triggers FROM pg_trigger WHERE tgrelid = old AND NOT tgisinternal;

        -- Rename the old table, so that the new one and its indexes get the names that migrations know.
        EXECUTE format('ALTER TABLE %I RENAME TO %I', name, name || '_whole');
        FOR index IN SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = old LOOP
            -- Names have 63 bytes at most: a longer one would be cut back to what it was.
            EXECUTE format('ALTER INDEX %I RENAME TO %I', index.relname, left(index.relname, 57) || '_whole');
        END LOOP;

        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) PARTITION BY HASH (account_id)', name, name || '_whole');
        SELECT coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') INTO options
        FROM pg_class WHERE oid = old;
        FOR place IN 0 .. partitions - 1 LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS %s, REMAINDER %s) %s',
                           format('%s_%s', name, place), name, partitions, place, options);
        END LOOP;

        -- LIKE copies neither the owner nor the grants.
        EXECUTE format('ALTER TABLE %I OWNER TO %s', name, (SELECT relowner::regrole FROM pg_class WHERE oid = old));
        FOR grants IN
            SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS role, privilege_type
            FROM pg_class CROSS JOIN aclexplode(relacl) WHERE oid = old AND grantee <> relowner
        LOOP
            EXECUTE format('GRANT %s ON %I TO %s', grants.privilege_type, name, grants.role);
        END LOOP;

        -- Without generated columns, which Postgres computes itself.
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO kept
        FROM pg_attribute WHERE attrelid = old AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
        EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM %I', name, kept, kept, name || '_whole');
        EXECUTE format('SELECT count(*) FROM %I', name || '_whole') INTO before;
        EXECUTE format('SELECT count(*) FROM %I', name) INTO after;
        IF before <> after THEN
            RAISE EXCEPTION '% has % rows after the copy, and had % before', name, after, before;
        END IF;
        -- Replaced rather than dropped and created: they keep their owners, comments, grants and dependents.
        FOR view IN SELECT * FROM jsonb_to_recordset(views) AS (name text, options text, query text) LOOP
            EXECUTE format('CREATE OR REPLACE VIEW %s %s AS %s', view.name, view.options, view.query);
        END LOOP;
        EXECUTE format('DROP TABLE %I', name || '_whole');
        FOREACH trigger IN ARRAY coalesce(triggers, '{}') LOOP
            EXECUTE trigger;
        END LOOP;
        EXECUTE format('ANALYZE %I', name);
        RAISE NOTICE '%: % rows in % partitions', name, after, partitions;
    END LOOP;
END
$$;
