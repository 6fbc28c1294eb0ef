"""Pauses that endpoints ask for are shared by all delivery processes; chat endpoints have a rate limit by default."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An earlier version that runs beside this one doesn't see pauses, and counts their attempts."""
    pause = "by its own answer: it takes no message of anybody before that"
    op.add_column("webhook_endpoints", sa.Column("paused_until", sa.DateTime(timezone=True), comment=pause))
    resent = "when it was last sent again by hand; its lifetime begins then"
    op.add_column("deliveries", sa.Column("resent_at", sa.DateTime(timezone=True), comment=resent))
    op.execute("UPDATE webhook_endpoints SET rate_limit = 1 WHERE target IN ('slack', 'teams') AND rate_limit IS NULL")


def downgrade() -> None:
    """Pauses are forgotten; the rate limits stay, as it is no longer known which were defaults."""
    op.drop_column("deliveries", "resent_at")
    op.drop_column("webhook_endpoints", "paused_until")
