-- Distributes the tables that grow with the number of accounts over the workers of a Citus cluster, by account_id.
--
-- NOT TESTED on Citus, and not enough by itself: read deploy/scaling.md first. Run it on the coordinator, on a migrated
-- database, while no process of the service runs:
--
--     psql "$HEALTH_DATABASE_URL" -v ON_ERROR_STOP=1 --single-transaction -f deploy/sql/distribute_citus.sql
--
-- The other tables stay on the coordinator: they are small, or their keys don't include account_id (alerts, deliveries,
-- dead_letters).

CREATE EXTENSION IF NOT EXISTS citus;

-- Only the version before needs it, and Citus has no triggers on distributed tables.
DROP TRIGGER complete_score ON scores;
SELECT create_distributed_table('scores', 'account_id', shard_count => 32);
-- Co-located with the scores, so that all rows of one account are on one worker.
SELECT create_distributed_table('accounts', 'account_id', colocate_with => 'scores');
SELECT create_distributed_table('ticket_states', 'account_id', colocate_with => 'scores');
SELECT create_distributed_table('survey_states', 'account_id', colocate_with => 'scores');
SELECT create_distributed_table('listed_accounts', 'account_id', colocate_with => 'scores');
-- With its partitions by month, the default one included.
SELECT create_distributed_table('history', 'account_id', colocate_with => 'scores');
