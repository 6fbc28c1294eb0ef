"""API keys."""

from sqlalchemy import ARRAY, Column, LargeBinary, Table, Text, Uuid

from service.storage.database.tables.metadata import Instant, created_at, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the key"),
    Column("hint", Text, nullable=False, comment="the key's first characters, to recognise it by"),
    Column("scopes", ARRAY(Text), nullable=False),
    created_at(),
    Column("expires_at", Instant),
    Column("last_used_at", Instant),
)
