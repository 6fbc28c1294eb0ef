"""Words of a command line that no command can use are refused before any of them sees them, in words."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from service.cli import main
from service.cli.app import app
from service.cli.arguments import require_text
from service.runtime.errors import HealthError

BAD = {
    "caf\udce9": "isn't UTF-8: it holds the byte 0xE9 at position",
    "a\x00b": "holds U+0000, a control character, at position",
    "a\ud800b": "holds U+D800, a lone surrogate, at position",
}


def commands(found: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(found, "commands"):
        yield words, found
        return
    for name, inner in found.commands.items():
        yield from commands(inner, (*words, name))


def places() -> Iterator[tuple[str, ...]]:
    """The beginning of a command line for every place of every command that takes a value."""
    for words, command in commands(typer.main.get_command(app)):
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                yield words
            elif not parameter.is_flag:
                yield from ((*words, option) for option in parameter.opts)


PLACES = sorted(set(places()))


def test_the_walk_finds_the_commands() -> None:
    assert len(PLACES) > 40
    for place in (("api-key", "create"), ("progress", "set"), ("load",), ("load", "--column")):
        assert place in PLACES


@pytest.mark.parametrize("place", PLACES, ids=" ".join)
def test_every_value_of_every_command_is_refused_in_words(
    place: tuple[str, ...], capsys: Any, monkeypatch: Any
) -> None:
    lines = [[*place, bad] for bad in BAD]
    if place[-1].startswith("--"):
        lines += [[*place[:-1], f"{place[-1]}={bad}"] for bad in BAD]
    for line, said in zip(lines, list(BAD.values()) * 2, strict=False):
        monkeypatch.setattr(sys, "argv", ["account-health", *line])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert ended.value.code == 1
        shown = capsys.readouterr().err
        assert said in shown
        assert shown.isascii()
        assert shown.startswith("account-health: ")
        assert shown.count("\n") == 1
        if place[-1].startswith("--"):
            assert f"{place[-1]}, '" in shown, "the option is named"


def test_bytes_that_are_no_utf_8_end_in_one_line() -> None:
    line: list[str | bytes] = [sys.executable, "-m", "service", "api-key", "create", b"caf\xe9", "--scope", "read"]
    ended = subprocess.run(line, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == (
        b"account-health: Argument 3, 'caf\\xe9', isn't UTF-8: it holds the byte 0xE9 at position 4."
        b" Give it in UTF-8, and rename a file whose name isn't\n"
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_all_other_words_are_left_to_the_commands(words: list[str]) -> None:
    require_text(words)


@given(st.text(), st.sampled_from(sorted(BAD)), st.text())
def test_whatever_is_around_it_what_can_not_be_used_is_refused(before: str, bad: str, after: str) -> None:
    with pytest.raises(HealthError) as refused:
        require_text(["load", f"{before}{bad}{after}"])
    str(refused.value).encode()


def test_ordinary_names_go_through() -> None:
    assert CliRunner().invoke(app, ["load", "株式会社.csv"]).exit_code == 2  # it doesn't exist
