"""Alembic migrations, run by `account-health migrate`."""
