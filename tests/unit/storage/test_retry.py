"""The description of a database error: only transient errors have one."""

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.storage.database.retry import POSTGRES_AWAY, is_transient, trouble


class StubError(Exception):
    """An error as asyncpg raises it."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("the text may hold names and values")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (ConnectionRefusedError("host 10.0.0.7"), POSTGRES_AWAY),
        (TimeoutError(), POSTGRES_AWAY),
        (PoolTimeoutError(), "all of this process's connections to Postgres are in use"),
        (DBAPIError("SELECT 1", {}, StubError("40P01")), "Postgres broke off a deadlock"),
        (DBAPIError("SELECT 1", {}, StubError("08006")), POSTGRES_AWAY),
        (DBAPIError("SELECT 1", {}, StubError("22021")), ""),
        (DBAPIError("SELECT 1", {}, StubError("28P01")), ""),
        (ValueError("no such day"), ""),
    ],
)
def test_only_a_transient_error_has_a_description(error: Exception, description: str) -> None:
    assert trouble(error) == description
    assert is_transient(error) == bool(description)
