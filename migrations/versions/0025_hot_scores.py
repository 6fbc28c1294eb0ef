"""Scores are updated in place: no index but the key and the time at which they are due."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "analytics"

VIEW = """
    CREATE VIEW usage_states AS SELECT account_id, usage AS state, usage_at AS newest_at, usage_source AS source
    FROM scores WHERE usage IS NOT NULL
"""
_REST = """
    UPDATE scores SET usage = u.state, usage_at = u.newest_at, usage_source = u.source FROM usage_states u
    WHERE u.account_id = scores.account_id AND scores.usage IS NULL
"""
# The version before inserts a new account's state of usage first, and then its score: two inserts of one row now.
_COMPLETE = """
    CREATE FUNCTION complete_score() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE scores SET
            score = NEW.score, band = NEW.band, coverage = NEW.coverage, readings = NEW.readings, since = NEW.since,
            journal = NEW.journal, day = NEW.day, scorecard = NEW.scorecard, scorecard_version = NEW.scorecard_version,
            evaluated_at = NEW.evaluated_at, due_at = NEW.due_at
        WHERE account_id = NEW.account_id AND day IS NULL;
        RETURN CASE WHEN FOUND THEN NULL ELSE NEW END;
    END $$
"""
_GRANTS = """
    SELECT format('GRANT %s ON usage_states TO %s', privilege_type,
                  CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
    FROM pg_class CROSS JOIN aclexplode(relacl)
    WHERE oid = 'usage_states'::regclass AND grantee <> relowner
          AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
"""
GENERATED = {
    "point": ("smallint", "floor(score)", "the score's whole points"),
    "quarter": ("smallint", "floor(score * 4)", "the score's quarter points"),
    "settled": (
        "float8",
        "CASE WHEN since < day OR score = floor(score) THEN score END",
        "the score, where it is that of an earlier day, or whole",
    ),
    "slot": (
        "timestamptz",
        "date_bin('00:02:00'::interval, evaluated_at, '2000-01-01 00:00:00+00'::timestamptz)",
        "the two minutes that evaluated_at lies in",
    ),
}
INDEXES = (
    ["band", "quarter", "settled", "account_id", "segment", "stage", "owner"],
    ["slot", "account_id", "segment", "stage", "owner"],
)
_HAS_VIRTUAL_COLUMNS = "current_setting('server_version_num')::int >= 180000"


def upgrade() -> None:
    """The tables of scores and of usage are locked for the time of one scan: some seconds for a million accounts.

    The version before goes on reading and writing, through a view; its lists are slow, as their indexes are gone.
    """
    # In the order in which the service locks them, so that they can't deadlock.
    op.execute("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")
    op.execute("LOCK TABLE usage_states IN ACCESS EXCLUSIVE MODE")
    op.execute(_REST)
    _replace_view("usage_beside_scores.sql")
    grants = _column(_GRANTS)
    op.drop_table("usage_states")
    op.execute("DROP FUNCTION mirror_usage()")
    op.execute(VIEW)
    for grant in grants:
        op.execute(grant)
    op.execute(_COMPLETE)
    op.execute(
        "CREATE TRIGGER complete_score BEFORE INSERT ON scores FOR EACH ROW"
        " WHEN (NEW.day IS NOT NULL AND NEW.usage IS NULL) EXECUTE FUNCTION complete_score()"
    )
    for columns in INDEXES:
        op.drop_index(_name(columns), "scores")
    if _column(f"SELECT {_HAS_VIRTUAL_COLUMNS}")[0]:
        _generate("VIRTUAL")  # costs no update anything
    for name in GENERATED:
        op.alter_column("scores", name, comment="for lists of the version before")


def downgrade() -> None:
    """Nothing is lost; lists and events cost Postgres more. The table of scores is rewritten: about a minute for a
    million.
    """
    _generate("STORED")
    for columns in INDEXES:
        op.create_index(op.f(_name(columns)), "scores", columns)
    op.execute("DROP TRIGGER complete_score ON scores")
    op.execute("DROP FUNCTION complete_score()")
    grants = _column(_GRANTS)
    op.execute("DROP VIEW usage_states")
    op.create_table(
        "usage_states",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("newest_at", sa.DateTime(timezone=True), comment="time of the newest event"),
        sa.Column("source", sa.Text(), comment="who sent the newest event"),
        postgresql_with={"fillfactor": 70},
    )
    op.execute(
        "INSERT INTO usage_states (account_id, state, newest_at, source)"
        " SELECT account_id, usage, usage_at, usage_source FROM scores WHERE usage IS NOT NULL"
    )
    op.create_primary_key(op.f("usage_states_pkey"), "usage_states", ["account_id"])
    for grant in grants:
        op.execute(grant)
    _replace_view("churn_probability.sql")
    _mirror_again()


def _mirror_again() -> None:
    """Make the trigger of 0024 again, which its downgrade drops."""
    op.execute("""
        CREATE FUNCTION mirror_usage() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE scores SET usage = NEW.state, usage_at = NEW.newest_at, usage_source = NEW.source
            WHERE account_id = NEW.account_id;
            RETURN NULL;
        END $$
    """)
    op.execute(
        "CREATE TRIGGER mirror_usage AFTER INSERT OR UPDATE ON usage_states"
        " FOR EACH ROW EXECUTE FUNCTION mirror_usage()"
    )


def _generate(kind: str) -> None:
    """Have these columns computed on reading, or stored."""
    for name, (data_type, made_of, comment) in GENERATED.items():
        op.drop_column("scores", name)
        op.execute(f"ALTER TABLE scores ADD COLUMN {name} {data_type} GENERATED ALWAYS AS ({made_of}) {kind}")
        op.alter_column("scores", name, comment=comment)


def _replace_view(file: str) -> None:
    """Replace `analytics.account_health` by its definition in a file."""
    for statement in (SQL / file).read_text().split(";\n"):
        if "VIEW analytics.account_health AS" in statement:
            op.get_bind().exec_driver_sql(statement)


def _name(columns: list[str]) -> str:
    return "_".join(["scores", *columns, "idx"])


def _column(query: str) -> list[Any]:
    return list(op.get_bind().exec_driver_sql(query).scalars())
