"""HEALTH_DATABASE_URL with libpq's parameters for TLS: processes and migrations apply them."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from service.storage.database.migrate import upgrade
from tests.support.certificates import Authority
from tests.support.service import query
from tests.support.tls_line import tls_line

pytestmark = pytest.mark.anyio


async def connect(url: str) -> int:
    engine = create_engine(Settings(_env_file=None, database_url=url), "tls-test")
    try:
        [(one,)] = await query(engine, "SELECT 1")
        return int(one)
    finally:
        await engine.dispose()


async def test_sslmode_and_sslrootcert_are_applied(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "with a blank"
    folder.mkdir()
    authority, other = Authority(folder, "authority"), Authority(folder, "other")
    url = make_url(database_url)
    assert url.host
    assert url.port
    async with tls_line(url.host, url.port, authority.sign("postgres", "127.0.0.1")) as port:
        plain = url.set(port=port)

        def by(mode: str, root: Authority, host: str = "127.0.0.1") -> str:
            more = plain.set(host=host, query={"sslmode": mode, "sslrootcert": str(root.file)})
            return more.render_as_string(hide_password=False)

        assert await connect(by("verify-full", authority)) == 1
        assert await connect(by("require", authority)) == 1
        assert await connect(by("verify-ca", authority, "localhost")) == 1
        with pytest.raises(Exception, match="certificate verify failed"):
            await connect(by("verify-full", other))
        with pytest.raises(Exception, match="certificate is not valid for 'localhost'"):
            await connect(by("verify-full", authority, "localhost"))
        with pytest.raises(DBAPIError, match="connection was closed"):
            await connect(by("disable", authority))
        await asyncio.to_thread(upgrade, by("verify-full", authority))
        with pytest.raises(Exception, match="certificate verify failed"):
            await asyncio.to_thread(upgrade, by("verify-full", other))
