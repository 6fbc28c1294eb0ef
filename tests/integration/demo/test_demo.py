"""`account-health demo` as a stranger runs it: it has to work at once, end well, and go on where it was."""

import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from psutil import Process  # type: ignore[import-untyped]

from service.embedded.ports import free_port, is_free

READY_SECONDS = 90


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account Postgres runs as can be let into."""
    with tempfile.TemporaryDirectory(prefix="account-health-demo-") as path:
        yield Path(path)


class Demo:
    """A demo whose output is piped."""

    def __init__(self, process: "subprocess.Popen[str]", output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def said(self) -> str:
        """The demo's whole output."""
        return self._output.read_text()

    def wait_for(self, pattern: str, seconds: float = READY_SECONDS) -> str:
        """Wait until it says something; returns the first group of the pattern, or all that matched."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < deadline, f"no {pattern!r} within {seconds} s in:\n{self.said}"
            assert self.process.poll() is None, f"no {pattern!r} in:\n{self.said}"
            time.sleep(0.1)
        return found[found.lastindex or 0]


@contextmanager
def demo(folder: Path, port: int) -> Iterator[Demo]:
    """A demo of few accounts, ended by Ctrl-C; it has to end well and leave nothing running."""
    output = folder / "output"
    options = ["--accounts", "20", "--rate", "50", "--port", str(port), "--data-dir", str(folder / "demo")]
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "demo", *options], stdout=file, stderr=subprocess.STDOUT, text=True
        )
    running = Demo(process, output)
    try:
        yield running
        family = Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, running.said
    finally:
        process.kill()
        process.wait()
    assert not [each for each in family if each.is_running()]
    assert is_free(int(running.wait_for(r":(\d+)/docs")))
    assert "Traceback" not in running.said
    assert "Stopped." in running.said


def reset(folder: Path) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "service", "demo", "--reset", "--data-dir", str(folder / "demo")]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def run_curl(line: str) -> object:
    """The output of the copied line."""
    words = [word for word in shlex.split(line) if word != "-s"]
    return msgspec.json.decode(subprocess.run([*words, "-sS"], capture_output=True, timeout=30, check=True).stdout)


def require_past(curl: str, account_ids: list[str]) -> None:
    """The customers have the scores of three months, and they moved."""
    begin = datetime.now(UTC).date() - timedelta(days=89)
    for account_id in account_ids:
        path = f"/v1/accounts/{account_id}/health/history?from={begin}"
        items = run_curl(re.sub(r"/v1/accounts\?[^']*", path, curl))["items"]  # type: ignore[index]
        assert len(items) == 90
        assert len({item["score"] for item in items}) > 5


def test_it_works_at_once_continues_where_it_was_and_resets_on_request(folder: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), demo(folder, port) as first:
        first.wait_for(r"Ready in \d")
        first.wait_for(f"Port {port} is in use, so the API is on port {port + 1}")
        key = first.wait_for(r"API key +(hk_\S+)")
        curl = first.wait_for(r"Try +(curl .*)")
        listed = run_curl(curl)
        assert isinstance(listed, dict)
        assert len(listed["items"]) == 3
        assert listed["items"][0]["score"] < 40
        require_past(curl, [account["account_id"] for account in listed["items"]])
        first.wait_for(r"score    .* -> ")
        first.wait_for(r"webhook  health\.threshold\.\w+, .*, signature verified ✓")
        assert "A demo is running" in reset(folder).stderr
    assert re.search(r"90 days in the life of 20 customers \([\d,]+ events", first.said)
    assert "The scores of these 90 days (20 customers" in first.said
    assert "WRONG" not in first.said

    with demo(folder, port) as second:
        second.wait_for(r"Ready in \d")
        assert second.wait_for(r"API key +(hk_\S+)") == key
        assert isinstance(run_curl(second.wait_for(r"Try +(curl .*)")), dict)
        second.wait_for(r"accounts \d+ green")
    assert "What happened meanwhile" in second.said
    assert "90 days" not in second.said

    assert "is removed" in reset(folder).stdout
    assert not (folder / "demo").exists()
