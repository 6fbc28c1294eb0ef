"""The documentation is whole by itself: everything that the page refers to comes from this service."""

import re

import pytest

from tests.support.api import Api

pytestmark = pytest.mark.anyio

REFERENCE = re.compile(r'(?:src|href)="([^"]+)"')


async def test_everything_that_the_page_needs_is_served_here(api: Api) -> None:
    page = await api.get("/docs", key=None)
    assert page.headers["Content-Type"].startswith("text/html")
    found = REFERENCE.findall(page.body.decode())
    assert {name.rpartition(".")[2] for name in found} == {"js", "css", "png"}
    for name in found:
        assert "//" not in name, "from elsewhere"
        part = await api.get(f"/{name}", key=None)
        assert part.status == 200, name
        assert len(part.body) > 100
        assert part.headers["X-Content-Type-Options"] == "nosniff"
        kind = {"js": "text/javascript", "css": "text/css", "png": "image/png"}[name.rpartition(".")[2]]
        assert part.headers["Content-Type"].startswith(kind)
    script = (await api.get("/docs/start.js", key=None)).body.decode()
    assert 'url: "openapi.json"' in script


async def test_styles_and_scripts_ask_for_nothing_else(api: Api) -> None:
    style = (await api.get("/docs/swagger-ui.css", key=None)).body.decode()
    assert {url.partition(":")[0].strip("'\"") for url in re.findall(r"url\(([^)]*)\)", style)} <= {"data", "#"}


async def test_no_script_runs_but_those_of_the_page(api: Api) -> None:
    page = await api.get("/docs", key=None)
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert not re.search(r"<script[^>]*>[^<]", page.body.decode()), "a script in the page"
    kept = await api.get("/docs", key=None, headers={"If-None-Match": page.headers["ETag"]})
    assert kept.headers["Content-Security-Policy"] == page.headers["Content-Security-Policy"]
