"""`account-health backtest` on a log whose numbers are worked out by hand, and on mistakes."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.runtime.errors import HealthError
from tests.support.cloud_events import cloud_event
from tests.support.event_logs import write_log
from tests.support.known_log import CHURNERS, DRAFT, OUTCOME, known_log, known_outcomes

RULES = [
    {"name": "Quiet", "kind": "silence", "level": 3},
    {"name": "Off", "kind": "band", "to": ["red"], "enabled": False},
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return known_log(tmp_path / "log.ndjson")


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    return known_outcomes(tmp_path / "outcomes.csv")


def backtest(*words: object) -> Result:
    return CliRunner().invoke(app, ["backtest", *map(str, words), "--processes", "1"], catch_exceptions=True)


def refusal(*words: object) -> str:
    result = backtest(*words)
    assert isinstance(result.exception, HealthError), result.output
    return str(result.exception)


def test_a_back_test(tmp_path: Path, log: Path, outcomes: Path) -> None:
    draft, rules, report = tmp_path / "<b>&.yaml", tmp_path / "rules.json", tmp_path / "report.json"
    page = tmp_path / "report.html"
    draft.write_text(DRAFT)
    rules.write_text(json.dumps(RULES))
    options = (
        "--scorecard",
        draft,
        "--rules",
        rules,
        "--json",
        report,
        "--html",
        page,
        "--work-dir",
        tmp_path / "work",
    )
    result = backtest(log, "--outcomes", outcomes, *options)
    assert result.exit_code == 0, result.output
    assert "264 events of 24 accounts, 2024-03-03 to 2024-05-05. 24 decisions 3 days ahead, 12 churned." in (
        result.stdout
    )
    assert "1 outcome is left out: the log has no event of this account (nobody)" in result.stdout
    assert "1 outcome is left out: it lies after the end of the log (stayed-1)" in result.stdout

    found = json.loads(report.read_text())
    scores = {each["name"]: each for each in found["scores"]}
    assert [*scores] == ["default", str(draft), "plain count"]
    # 22 days since the last use (56 points) against 2 (96); 12 events in 28 days against 4.
    assert scores[str(draft)]["auc"] == [1, 1, 1]
    assert scores["plain count"]["auc"] == [0, 0, 0]
    assert scores[str(draft)]["difference"] == [1, 1, 1]
    assert {band: (each["decisions"], each["churned"]) for band, each in scores[str(draft)]["bands"].items()} == {
        "green": (12, 0),
        "yellow": (12, 12),
        "red": (0, 0),
    }
    assert f"{draft}: of an account that left and one that stayed, it rated the one that left lower in 100%" in (
        result.stdout.replace("\n", "")
    )

    shown = page.read_text()
    body = shown.split("<body>")[1].split("</body>")[0]
    assert len(ElementTree.fromstring(f"<body>{body}</body>").findall(".//svg")) == 4
    assert "in 100% of all cases (100% to 100%; chance is 50%)" in shown
    assert "<td>12 of 12</td>" in shown
    assert not re.search(r"(src|href)=|<script|@import|url\(", shown)

    (quiet,) = found["rules"]
    assert (quiet["name"], quiet["alerts"], quiet["lead_days"]) == ("Quiet", 12, 22)
    assert (quiet["churners"]["churned"], quiet["precision"]["decisions"], quiet["precision"]["churned"]) == (12,) * 3
    # Fires from 22 days before the churn to its day, of 31 days lived; those who stayed live 64 days and never fire.
    assert quiet["account_days"] == 23 * 12 / ((31 + 64) * 12)
    assert quiet["alerts_per_week"] == pytest.approx(12 / (64 / 7))


@pytest.mark.parametrize(("last_day", "is_warned_of"), [("2024-05-01", True), ("2024-04-30", False)])
def test_a_scorecard_that_was_fitted_to_these_outcomes_is_no_proof(
    tmp_path: Path, log: Path, outcomes: Path, last_day: str, is_warned_of: bool
) -> None:
    draft = tmp_path / "draft.yaml"
    fitted: dict[str, Any] = {
        "calibrated_on": "2024-05-05",
        "source": "log",
        "first_day": "2024-03-01",
        "last_day": last_day,
    }
    fitted |= {"lead_days": 3, "decisions": 30, "churned": 12, "probabilities": [[0, 0.5], [100, 0.1]]}
    draft.write_text(DRAFT + f"calibration: {json.dumps(fitted)}\n")
    options = ("--scorecard", draft, "--work-dir", tmp_path / "work", "--json", tmp_path / "report.json")
    result = backtest(log, "--outcomes", outcomes, *options)
    assert result.exit_code == 0, result.output
    verdicts = {each["name"]: each["verdict"] for each in json.loads((tmp_path / "report.json").read_text())["scores"]}
    said = f"It was fitted to outcomes from 2024-03-01 to {last_day}, and some of these may be among them"
    assert (said in verdicts[str(draft)]) == is_warned_of
    assert "It was fitted" not in verdicts["default"] + verdicts["plain count"]


def test_mistakes_say_what_to_do(tmp_path: Path, log: Path, outcomes: Path) -> None:
    work = ("--work-dir", tmp_path / "work")
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: [")
    assert "neither YAML nor JSON" in refusal(log, "--outcomes", outcomes, "--scorecard", bad, *work)
    bad.write_text("name: x\nmeasures: []\n")
    assert "can't be used" in refusal(log, "--outcomes", outcomes, "--scorecard", bad, *work)
    assert "is no list of rules. Write" in refusal(log, "--outcomes", outcomes, "--rules", bad, *work)
    bad.write_text("- {name: x, kind: score, direction: below}\n")
    assert "rule 1: level: " in refusal(log, "--outcomes", outcomes, "--rules", bad, *work)
    bad.write_text("- {name: x, kind: silence, level: 3}\n- {name: x, kind: silence, level: 4}\n")
    assert "rule 2: name: 'x' is taken" in refusal(log, "--outcomes", outcomes, "--rules", bad, *work)
    assert "There is no log. Give FILE, the log as `load` takes it, or --topics" in refusal("--outcomes", outcomes)
    assert "--topics names the log already" in refusal(log, "--topics", "--outcomes", outcomes)
    nowhere = tmp_path / "nowhere" / "report.json"
    assert "there is no folder" in refusal(log, "--outcomes", outcomes, "--json", nowhere, *work)
    assert not (tmp_path / "work").exists()


def test_a_log_that_does_not_tell_what_became_of_accounts_says_so(tmp_path: Path, log: Path) -> None:
    said = refusal(log, "--work-dir", tmp_path / "work")
    assert said.startswith("The log doesn't say what became of its accounts: no account of it has churned_on. Give --o")
    left = cloud_event("account", CHURNERS[0], {"churned_on": str(OUTCOME)}, time=f"{OUTCOME}T09:00:00Z")
    both = write_log(tmp_path / "crm.ndjson", [*map(json.loads, log.read_text().splitlines()), left])
    assert "no account of it has had a renews_on that passed. Give --horizon-days" in refusal(
        both, "--work-dir", tmp_path / "work"
    )


def test_an_empty_log_and_outcomes_of_strangers_say_so(tmp_path: Path, log: Path) -> None:
    empty, strangers = tmp_path / "empty.ndjson", tmp_path / "strangers.csv"
    empty.write_text("")
    strangers.write_text(
        "account_id,date,churned\n" + "".join(f"x{nth},2024-05-01,{str(nth > 3).lower()}\n" for nth in range(7))
    )
    work = ("--work-dir", tmp_path / "work")
    assert "no events" in refusal(empty, "--outcomes", strangers, *work)
    said = refusal(log, "--outcomes", strangers, *work)
    assert "None of the outcomes that can be judged churned; 7 outcomes are left out: the log has no event" in said
    assert "(x0, x1, x2, x3, x4, …)" in said
    assert said.endswith("with the same account ids")
