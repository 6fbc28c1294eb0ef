"""Lists by score are ordered by quarter points in the index, not by whole ones: fewer accounts to sort for a page."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NEW, OLD = (
    ["band", "quarter", "settled", "account_id", "segment", "stage", "owner"],
    ["band", "point", "settled", "account_id", "segment", "stage", "owner"],
)


def upgrade() -> None:
    """Postgres rewrites the table of scores, and locks it meanwhile: some seconds for a million accounts. An earlier
    version that runs beside this one has no index for its lists by score: with many accounts they may time out.
    """
    op.drop_index(_name(OLD), "scores")
    quarters = sa.Computed("floor(score * 4)", persisted=True)
    op.add_column("scores", sa.Column("quarter", sa.SmallInteger(), quarters, comment="the score's quarter points"))
    op.create_index(op.f(_name(NEW)), "scores", NEW)
    op.execute("ANALYZE scores")  # lists ask what the planner expects


def downgrade() -> None:
    """Nothing is lost; lists by score are slower."""
    op.drop_column("scores", "quarter")
    op.create_index(op.f(_name(OLD)), "scores", OLD)


def _name(columns: list[str]) -> str:
    return "_".join(["scores", *columns, "idx"])
