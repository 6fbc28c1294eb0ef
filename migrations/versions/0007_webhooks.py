"""Webhooks: what targets have to be told, why an endpoint is disabled, deliveries that a newer one has replaced."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Instant = sa.DateTime(timezone=True)
STATES = "state IN ('pending', 'succeeded', 'failed', 'superseded')"


def upgrade() -> None:
    """Endpoints stay as they are: those that are disabled don't say why."""
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
            "paid_until", Instant, comment="by when what was sent is paid for at that rate: service/delivery/pacing.py"
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


def downgrade() -> None:
    """Deliveries that were replaced count as succeeded."""
    op.execute("UPDATE deliveries SET state = 'succeeded' WHERE state = 'superseded'")
    op.drop_constraint("deliveries_state_check", "deliveries")
    op.create_check_constraint(
        op.f("deliveries_state_check"), "deliveries", "state IN ('pending', 'succeeded', 'failed')"
    )
    for column in ("warned_at", "failing_since", "disabled_reason", "paid_until", "rate_limit", "options"):
        op.drop_column("webhook_endpoints", column)
