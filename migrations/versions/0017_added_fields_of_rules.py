"""Fields of alert rules that earlier versions don't know: whom a rule leaves out, and its playbook."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rules so far have none of them."""
    comment = "those fields of it that the version before this column doesn't know"
    op.add_column("alert_rules", sa.Column("added", JSONB, comment=comment))


def downgrade() -> None:
    """Rules leave nobody out again, and lose their playbooks."""
    op.drop_column("alert_rules", "added")
