"""deploy/backup.md: its steps for another password of Postgres work, without a gap."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from service.storage.database.migrate import upgrade
from tests.integration.cli.test_reader_command import as_user, on
from tests.support.commands import command, environment
from tests.support.paths import ROOT
from tests.support.postgres import PostgresServer
from tests.support.service import settings_for

MANUAL = (ROOT / "deploy" / "backup.md").read_text()


@pytest.fixture
def owned(postgres_server: PostgresServer) -> Iterator[tuple[str, str, str]]:
    """A database that belongs to a role of its own: the URL of an administrator, that of the role, and its name."""
    admin = postgres_server.create_empty()
    role = f"health_{urlsplit(admin).path.rsplit('_', 1)[-1]}"
    on(admin, f"CREATE ROLE {role} LOGIN PASSWORD 'x'", f"ALTER DATABASE {urlsplit(admin).path[1:]} OWNER TO {role}",
       f"ALTER SCHEMA public OWNER TO {role}")  # fmt: skip
    url = as_user(admin, role, "x")
    upgrade(url, "0007")
    yield admin, url, role
    postgres_server.drop(admin)
    on(postgres_server.url, f"DROP ROLE {role}_2", f"DROP ROLE {role}")


def test_a_second_role_acts_as_the_first(owned: tuple[str, str, str]) -> None:
    admin, url, role = owned
    statements = re.findall(r"^    ((?:CREATE|ALTER) ROLE health_2 .*);$", MANUAL, re.MULTILINE)
    assert len(statements) == 2
    for statement in statements:
        on(admin, statement.replace("'…'", "'second'").replace("health", role))
    second = as_user(url, f"{role}_2", "second")
    env = environment(settings_for(second, "127.0.0.1:1", ""))
    command("migrate", env=env)
    on(admin, f"ALTER ROLE {role} NOLOGIN")
    assert command("api-key", "create", "me", "--scope", "read", env=env).stdout.startswith("hk_")
    owners = "SELECT count(DISTINCT relowner) FROM pg_class WHERE relname IN ('api_keys', 'account_health')"
    assert on(second, owners, "SELECT current_user") == [1, role]
