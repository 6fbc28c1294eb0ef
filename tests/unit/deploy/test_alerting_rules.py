"""The alerting rules: promtool's own tests of them, and a section of the runbook for each, with commands that exist."""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from service.cli.app import app
from tests.support.paths import ROOT
from tests.support.promtool import promtool

DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules" / "account-health.yml"
RULE_TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
RUNBOOK = DEPLOY / "runbook.md"
PARTS = ("**Means.**", "**Users notice.**", "**Look.**", "**Do.**", "**Escalate**")
SEVERITIES = {"critical", "warning", "info"}


@cache
def rules() -> dict[str, dict[str, Any]]:
    """The rules by alert."""
    found = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in found}


def sections() -> dict[str, str]:
    """The runbook's sections on alerts, by alert."""
    _, *parts = re.split(r"^## (Health\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_promtool_accepts_the_rules() -> None:
    result = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(path: Path) -> None:
    result = promtool("test", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_is_tried_both_ways() -> None:
    tried = [
        (each["alertname"], bool(each["exp_alerts"]))
        for path in RULE_TESTS
        for group in yaml.safe_load(path.read_text())["tests"]
        for each in group["alert_rule_test"]
    ]
    assert set(tried) == {(alert, fires) for alert in rules() for fires in (True, False)}


@pytest.mark.parametrize("alert", rules())
def test_each_alert_says_what_to_do(alert: str) -> None:
    rule = rules()[alert]
    assert rule["for"]
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["annotations"]["runbook_url"] == f"deploy/runbook.md#{alert.lower()}"
    assert len(rule["annotations"]["summary"]) > 20
    assert len(rule["annotations"]["description"]) > 50


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert list(sections()) == list(rules())
    for alert, text in sections().items():
        for part in PARTS:
            assert text.count(part) == 1, (alert, part)


def in_code() -> list[list[str]]:
    """The words of every command that the runbook has as code."""
    text = RUNBOOK.read_text()
    code = [*re.findall(r"^    account-health (.*)$", text, re.MULTILINE), *re.findall(r"`account-health (.+?)`", text)]
    return [shlex.split(each) for each in code]


def told() -> list[list[str]]:
    """The words of every command that an alert names, and the rest of its sentence."""
    texts = [rule["annotations"]["description"] for rule in rules().values()]
    return [found.split() for text in texts for found in re.findall(r"account-health ([\w -]+)", text)]


def test_every_command_exists() -> None:
    assert len(in_code()) > 20
    assert len(told()) > 7
    for words in in_code():
        command, left = follow(typer.main.get_command(app), words)
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in left if word.startswith("--")} <= options, words
        # A group that does something by itself takes no words: a further one would be a missing subcommand.
        assert not (left and hasattr(command, "commands")), words
    for words in told():
        follow(typer.main.get_command(app), words)


def follow(command: Any, words: list[str]) -> tuple[Any, list[str]]:
    """The command that words lead to, and the words that are left; fails where they lead nowhere."""
    if not hasattr(command, "commands"):
        return command, words
    if words[:1] and words[0] in command.commands:
        return follow(command.commands[words[0]], words[1:])
    assert command.invoke_without_command, f"there is no account-health … {' '.join(words)}"
    return command, words
