"""Indexes for lists of accounts, which most updates of a score don't touch."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

GENERATED: tuple[tuple[str, sa.types.TypeEngine[Any], str, str], ...] = (
    ("point", sa.SmallInteger(), "floor(score)", "the score's whole points"),
    (
        "settled",
        sa.Double(),
        "CASE WHEN since < day OR score = floor(score) THEN score END",
        "the score, where it is that of an earlier day, or whole",
    ),
    (
        "slot",
        sa.DateTime(timezone=True),
        "date_bin('00:02:00'::interval, evaluated_at, '2000-01-01 00:00:00+00'::timestamptz)",
        "the two minutes that evaluated_at lies in",
    ),
)
ATTRIBUTES = ("segment", "stage", "owner")


def upgrade() -> None:
    """Postgres rewrites the table of scores, and locks it meanwhile: some seconds for a million accounts."""
    op.drop_index("scores_band_account_id_idx", "scores")
    op.execute("ALTER TABLE scores " + ", ".join(_added(*column) for column in GENERATED))
    for name, _, _, comment in GENERATED:
        op.alter_column("scores", name, comment=comment)
    op.create_index(
        op.f("scores_band_point_settled_account_id_idx"), "scores", ["band", "point", "settled", "account_id"]
    )
    op.create_index(op.f("scores_slot_account_id_idx"), "scores", ["slot", "account_id"])
    for name in ATTRIBUTES:
        op.create_index(
            _index_of(name),
            "accounts",
            [name, "account_id"],
            postgresql_include=_others(name),
            postgresql_where=sa.text(f"{name} IS NOT NULL"),
        )


def _others(name: str) -> list[str]:
    return [other for other in ATTRIBUTES if other != name]


def _index_of(name: str) -> str:
    return "_".join(["accounts", name, "account_id", *_others(name), "idx"])


def _added(name: str, kind: sa.types.TypeEngine[Any], expression: str, _: str) -> str:
    """One statement adds them all, so that the table is written once."""
    return f"ADD COLUMN {name} {kind.compile(op.get_bind().dialect)} GENERATED ALWAYS AS ({expression}) STORED"


def downgrade() -> None:
    """Nothing is lost; lists are slow again."""
    for name in ATTRIBUTES:
        op.drop_index(_index_of(name), "accounts")
    for name in ("scores_slot_account_id_idx", "scores_band_point_settled_account_id_idx"):
        op.drop_index(name, "scores")
    for name, *_ in reversed(GENERATED):
        op.drop_column("scores", name)
    op.create_index(op.f("scores_band_account_id_idx"), "scores", ["band", "account_id"])
