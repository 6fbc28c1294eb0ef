"""The command tree: complete in the help, and each command imported only when it is called."""

import subprocess
import sys

from typer.testing import CliRunner

from service.cli.app import MODULES, app

IMPORTED = """
import sys
from typer.testing import CliRunner
from service.cli.app import app
result = CliRunner().invoke(app, ["load", "--help"])
assert "event logs" in result.stdout, result.stdout
print([name for name in sys.modules if name in ("sqlalchemy", "fastapi", "alembic", "aiokafka")])
"""


def test_the_help_names_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout.split("Commands:")[1]
    assert [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "] == [*MODULES]


def test_a_mistyped_command_is_answered_with_the_right_one() -> None:
    result = CliRunner().invoke(app, ["progres"])
    assert result.exit_code == 2
    assert "Did you mean 'progress'?" in result.output


def test_a_command_imports_nothing_for_the_others() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
