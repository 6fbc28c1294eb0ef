"""SIGTERM in moments when nobody waits for it: a process that is only starting, and process 1 of a container."""

import shutil
import signal
import subprocess
import sys

import pytest

AT_IMPORT = """
import os, signal, sys

class Striking:
    def find_spec(self, name, path, target=None):
        if name == "service.cli.app":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Striking())
sys.argv = ["account-health", "--help"]
from service.cli.main import main
main()
"""

AT_WORK = """
import asyncio, os, signal
from service.cli.run_process import run_process
from service.runtime.settings import Settings

async def work(settings, stop):
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    TWICE and os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.1)

run_process("test", work, Settings(_env_file=None))
"""

ALONE = ("unshare", "--fork", "--pid", "--mount-proc")
"""A command as process 1 of a namespace of its own, as in a container."""


def ended(program: str, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def has_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0


as_process_1 = pytest.mark.skipif(not has_namespaces(), reason="this machine gives no PID namespace")


def test_a_process_that_is_still_starting_dies_of_sigterm_without_a_word() -> None:
    end = ended(AT_IMPORT)
    assert (end.returncode, end.stdout, end.stderr) == (-signal.SIGTERM, "", "")


@as_process_1
def test_so_does_process_1_though_the_kernel_would_not_let_it() -> None:
    end = ended(AT_IMPORT, *ALONE)
    assert (end.returncode, end.stdout, end.stderr) == (128 + signal.SIGTERM, "", "")


@as_process_1
@pytest.mark.parametrize(("twice", "status"), [(False, 0), (True, 128 + signal.SIGTERM)])
def test_process_1_finishes_when_it_is_asked_and_is_killed_by_a_second_signal(twice: bool, status: int) -> None:
    end = ended(AT_WORK.replace("TWICE", str(twice)), *ALONE)
    assert end.returncode == status, end.stderr
    assert "Traceback" not in end.stderr
