"""Scores hold the state of usage too: one row changes with every event, not two."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

ROWS = 10_000
"""Accounts that are moved in one transaction; folds of these wait for a second or less."""
ROOM = {"fillfactor": 50, "toast_tuple_target": 4080}
ROOM_BEFORE = {"fillfactor": 70}

_ROOM_OF = """
    SELECT coalesce(inhrelid, scores.oid)::regclass FROM pg_class scores LEFT JOIN pg_inherits ON inhparent = scores.oid
    WHERE scores.oid = 'scores'::regclass
"""
_MIRROR = """
    CREATE FUNCTION mirror_usage() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE scores SET usage = NEW.state, usage_at = NEW.newest_at, usage_source = NEW.source
        WHERE account_id = NEW.account_id;
        RETURN NULL;
    END $$
"""


def upgrade() -> None:
    """Nobody waits: accounts are moved in short transactions after this one, and what the version before folds
    meanwhile is kept up to date. If that is interrupted, the next `migrate` goes on.
    """
    op.add_column(
        "scores", sa.Column("usage", sa.LargeBinary(), comment="the state of usage; null if there never was any")
    )
    op.add_column("scores", sa.Column("usage_at", sa.DateTime(timezone=True), comment="time of the newest usage event"))
    op.add_column("scores", sa.Column("usage_source", sa.Text(), comment="who sent the newest usage event"))
    _set_room(ROOM)
    op.execute(_MIRROR)
    op.execute(
        "CREATE TRIGGER mirror_usage AFTER INSERT OR UPDATE ON usage_states"
        " FOR EACH ROW EXECUTE FUNCTION mirror_usage()"
    )


def rows_to_move(connection: sa.Connection) -> int:
    """About the number of accounts that `move` has to look at."""
    return int(connection.exec_driver_sql("SELECT count(*) FROM usage_states").scalar_one())


def move(connection: sa.Connection, after: str) -> tuple[str, int]:
    """Move the next accounts that follow the id `after`; returns the last one of them, and their number.

    Their scores are locked first, as by every writer, and read by another statement: then nobody is changing them.
    """
    ids = _ids(
        connection, "SELECT account_id FROM usage_states WHERE account_id > :after ORDER BY 1 LIMIT :rows", after
    )
    if not ids:
        return after, 0
    connection.execute(
        sa.text('SELECT 1 FROM scores WHERE account_id = ANY(:ids) ORDER BY account_id COLLATE "C" FOR UPDATE'),
        {"ids": ids},
    )
    connection.execute(
        sa.text("""
            UPDATE scores SET usage = u.state, usage_at = u.newest_at, usage_source = u.source FROM usage_states u
            WHERE u.account_id = scores.account_id AND u.account_id = ANY(:ids) AND scores.usage IS NULL
        """),
        {"ids": ids},
    )
    return ids[-1], len(ids)


def downgrade() -> None:
    """Nothing is lost; events cost Postgres more."""
    op.execute("DROP TRIGGER mirror_usage ON usage_states")
    op.execute("DROP FUNCTION mirror_usage()")
    _set_room(ROOM_BEFORE)
    for name in ("usage_source", "usage_at", "usage"):
        op.drop_column("scores", name)


def _ids(connection: sa.Connection, query: str, after: str) -> list[str]:
    return list(connection.execute(sa.text(query), {"after": after, "rows": ROWS}).scalars())


def _set_room(room: dict[str, int]) -> None:
    """Set it for the table, or for its partitions: deploy/sql/partition_accounts.sql."""
    for (table,) in _rows(_ROOM_OF):
        op.execute(f"ALTER TABLE {table} RESET (fillfactor, toast_tuple_target)")
        op.execute(f"ALTER TABLE {table} SET ({', '.join(f'{name} = {value}' for name, value in room.items())})")


def _rows(query: str) -> list[Any]:
    return list(op.get_bind().exec_driver_sql(query))
