"""The digest of an image's pixels: files that differ by their origin alone are the same picture.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("attempt", sa.Column("pixels_sha256", sa.Text()))
