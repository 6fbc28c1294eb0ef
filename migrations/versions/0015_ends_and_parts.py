"""The receivers of an episode's end, the parts of a digest that belong to one endpoint, and the rules of a digest."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CAUSES = "cause IN ('scorecard', 'backfill', 'dwell', 'rule')"
EARLIER_CAUSES = "cause IN ('scorecard', 'backfill', 'dwell')"


def upgrade() -> None:
    """No row is rewritten; alerts wait while one of their indexes is made, some seconds for millions. The end of an
    existing alert's episode goes to the endpoints that have a delivery of its beginning.
    """
    _add("alerts", "ends_for", sa.ARRAY(sa.Uuid()), "endpoints that are told when what begins here is over")
    _add("alerts", "digest_for", sa.ARRAY(sa.Uuid()), "endpoints that hear of it in its digest")
    op.alter_column("alerts", "quiet", comment="summed up in a digest")
    _add("deliveries", "data", sa.JSON(), "what is sent in place of the alert's data: the endpoint's part of a digest")
    for name in ("segment", "stage", "owner"):
        _add("digest_moves", name, sa.Text(), "of the accounts")
    op.add_column(
        "reevaluations",
        sa.Column(
            "rules", sa.ARRAY(sa.Uuid()), nullable=False, server_default="{}", comment="that have changed, by id"
        ),
    )
    op.create_index(
        "alerts_farewells_idx",
        "alerts",
        ["created_at"],
        postgresql_where=sa.text("account_id IS NULL AND state = 'resolved'"),
    )
    op.alter_column("digests", "cause", comment="scorecard, backfill, dwell or rule")
    _allow(CAUSES)


def _add(table: str, name: str, type_: sa.types.TypeEngine[Any], comment: str) -> None:
    op.add_column(table, sa.Column(name, type_, comment=comment))


def _allow(causes: str) -> None:
    op.drop_constraint("digests_cause_check", "digests")
    op.create_check_constraint(op.f("digests_cause_check"), "digests", causes)


def downgrade() -> None:
    """Ends of episodes go by filters again. Digests of rules count as those of scorecards; parts that wait are sent as
    wholes.
    """
    op.execute("UPDATE digests SET cause = 'scorecard' WHERE cause = 'rule'")
    _allow(EARLIER_CAUSES)
    op.alter_column("digests", "cause", comment="scorecard, backfill or dwell")
    op.drop_column("reevaluations", "rules")
    for name in ("segment", "stage", "owner"):
        op.drop_column("digest_moves", name)
    op.drop_column("deliveries", "data")
    op.alter_column("alerts", "quiet", comment="told to nobody, but for its digest")
    op.execute("DELETE FROM alerts WHERE account_id IS NULL AND state = 'resolved'")
    op.drop_index("alerts_farewells_idx", "alerts")
    op.drop_column("alerts", "digest_for")
    op.drop_column("alerts", "ends_for")
