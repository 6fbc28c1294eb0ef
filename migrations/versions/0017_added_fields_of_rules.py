"""Fields of alert rules that earlier versions don't know: accounts that a rule excludes, and its playbook."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Existing rules have none of them."""
    comment = "those fields of it that the version before this column doesn't know"
    op.add_column("alert_rules", sa.Column("added", JSONB, comment=comment))


def downgrade() -> None:
    """Rules exclude no accounts any more, and lose their playbooks."""
    op.drop_column("alert_rules", "added")
