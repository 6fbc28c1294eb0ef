"""The indexes of lists of scores contain the attributes too: accounts that don't match aren't fetched."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ATTRIBUTES = ["segment", "stage", "owner"]
ORDERS = (["band", "point", "settled", "account_id"], ["slot", "account_id"])


def upgrade() -> None:
    """Scores can't be read or written while the indexes are made: some seconds for a million accounts."""
    _lock()
    for order in ORDERS:
        _replace(order, [*order, *ATTRIBUTES])


def downgrade() -> None:
    """Nothing is lost; lists with filters are slower."""
    _lock()
    for order in ORDERS:
        _replace([*order, *ATTRIBUTES], order)


def _lock() -> None:
    """Lock the table first: a transaction that locks rows between two statements would deadlock with this one."""
    op.execute("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")


def _replace(old: list[str], new: list[str]) -> None:
    op.create_index(op.f(_name(new)), "scores", new)
    op.drop_index(_name(old), "scores")


def _name(columns: list[str]) -> str:
    return "_".join(["scores", *columns, "idx"])
