"""`account-health api-key …` on a real database."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.runtime.api_key import digest_of
from service.runtime.errors import HealthError


@pytest.fixture(autouse=True)
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find the test's own database."""
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_url)


def api_key(*words: str) -> Result:
    return CliRunner().invoke(app, ["api-key", *words])


def test_a_key_is_printed_alone_once_and_kept_as_a_digest(database_url: str) -> None:
    created = api_key("create", "CRM sync", "--scope", "write", "--scope", "read", "--expires-in", "30")
    assert created.exit_code == 0
    assert re.fullmatch(r"hk_[\w-]{43}\n", created.stdout)
    key = created.stdout.strip()
    listed = api_key("list").stdout
    assert key not in listed
    assert key[:7] in listed
    assert "read write" in listed
    assert f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}" in listed
    assert len(digest_of(key)) == 32


def test_a_revoked_key_is_gone() -> None:
    api_key("create", "old", "--scope", "admin")
    found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", api_key("list").stdout)
    assert found
    assert api_key("revoke", found[0]).exit_code == 0
    assert found[0] not in api_key("list").stdout
    assert isinstance(api_key("revoke", found[0]).exception, HealthError)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("name", "--scope", "root"), "'root' is not known. Give read, write, admin"),
        (("", "--scope", "read"), "NAME can't be used"),
        (("a\nb", "--scope", "read"), "NAME can't be used"),
    ],
)
def test_mistakes_get_one_line(words: tuple[str, ...], said: str) -> None:
    failed = api_key("create", *words)
    assert isinstance(failed.exception, HealthError)
    assert said in str(failed.exception)
    assert api_key("list").stdout.count("hk_") == 0


def test_a_key_needs_a_scope() -> None:
    assert api_key("create", "name").exit_code == 2
