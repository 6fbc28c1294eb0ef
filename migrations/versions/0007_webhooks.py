"""Webhooks: options of targets, the reason why an endpoint is disabled, deliveries that were replaced by a newer one or
are sent again, and the transactions by which pollers of alerts proceed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Instant = sa.DateTime(timezone=True)
STATES = "state IN ('pending', 'succeeded', 'failed', 'superseded')"


def upgrade() -> None:
    """Endpoints stay as they are; disabled ones have no reason. Existing alerts count as of transaction 0."""
    op.add_column(
        "webhook_endpoints",
        sa.Column(
            "options",
            sa.LargeBinary(),
            comment="encrypted JSON object of what the target has to be told beside the URL",
        ),
    )
    op.add_column(
        "webhook_endpoints", sa.Column("rate_limit", sa.Double(), comment="messages a second at most; null is no limit")
    )
    op.add_column(
        "webhook_endpoints",
        sa.Column(
            "paid_until",
            Instant,
            comment="by when what was sent is paid for at that rate: service/delivery/rate_limit.py",
        ),
    )
    op.add_column(
        "webhook_endpoints",
        sa.Column("disabled_reason", sa.Text(), comment="gone or failing; null where somebody disabled it"),
    )
    op.add_column(
        "webhook_endpoints",
        sa.Column("failing_since", Instant, comment="when the first attempt failed after the last success"),
    )
    op.add_column(
        "webhook_endpoints",
        sa.Column("warned_at", Instant, comment="when operators were told that it will be disabled"),
    )
    op.drop_constraint("deliveries_state_check", "deliveries")
    op.create_check_constraint(op.f("deliveries_state_check"), "deliveries", STATES)
    _add_tries()
    _add_transaction()


def _add_tries() -> None:
    comment = "attempts since it was written, or last sent again: where it is in the retry schedule"
    op.add_column(
        "deliveries", sa.Column("tries", sa.SmallInteger(), nullable=False, server_default="0", comment=comment)
    )
    op.execute("UPDATE deliveries SET tries = attempts WHERE state = 'pending' AND attempts > 0")


def _add_transaction() -> None:
    comment = "the one that wrote it; pollers go by it, as it tells what may still be written"
    # First with a constant, as a computed one would rewrite the whole table.
    op.add_column(
        "alerts", sa.Column("transaction", sa.BigInteger(), nullable=False, server_default="0", comment=comment)
    )
    op.alter_column("alerts", "transaction", server_default=sa.text("(pg_current_xact_id())::text::bigint"))
    op.create_index("alerts_transaction_id_idx", "alerts", ["transaction", "id"])


def downgrade() -> None:
    """Endpoints lose their options, without which some targets can't be reached, and their rate limits. Replaced
    deliveries count as succeeded. Pollers of alerts have to start over.
    """
    op.drop_index("alerts_transaction_id_idx", table_name="alerts")
    op.drop_column("alerts", "transaction")
    op.drop_column("deliveries", "tries")
    op.execute("UPDATE deliveries SET state = 'succeeded' WHERE state = 'superseded'")
    op.drop_constraint("deliveries_state_check", "deliveries")
    op.create_check_constraint(
        op.f("deliveries_state_check"), "deliveries", "state IN ('pending', 'succeeded', 'failed')"
    )
    for column in ("warned_at", "failing_since", "disabled_reason", "paid_until", "rate_limit", "options"):
        op.drop_column("webhook_endpoints", column)
