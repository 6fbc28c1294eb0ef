"""`account-health calibrate` on made-up logs: a draft with its proof, honest where there is none, and on mistakes."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

from scoring.scorecards.calibration import churn_probability
from service.cli.app import app
from service.cli.scorecard_file import read
from service.jobs.calibration import material
from service.runtime.errors import HealthError
from tests.support.calibration_logs import BEGIN, WEEKS, write_portfolio

CARD = {
    "name": "default",
    "measures": [{"measure": "active_days", "window": 7, "weight": 1, "curve": [[0, 0], [7, 100]]}],
}
TODAY = datetime.now(UTC).date()


def calibrate(*words: object) -> Result:
    return CliRunner().invoke(app, ["calibrate", *map(str, words), "--processes", "1"], catch_exceptions=True)


def refusal(*words: object) -> str:
    result = calibrate(*words)
    assert isinstance(result.exception, HealthError), result.output
    return str(result.exception)


@pytest.fixture(scope="module")
def portfolio(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A log, its outcomes, and a working folder where the log is read once."""
    folder = tmp_path_factory.mktemp("portfolio")
    return (*write_portfolio(folder), folder / "work")


@pytest.fixture(scope="module")
def calibrated(portfolio: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder with the results of one run, and what it printed."""
    log, outcomes, work = portfolio
    folder = tmp_path_factory.mktemp("calibrated")
    (folder / "card.yaml").write_text(yaml.safe_dump(CARD))
    files = ("--out", folder / "draft.yaml", "--json", folder / "report.json", "--html", folder / "report.html")
    options = ("--outcomes", outcomes, "--scorecard", folder / "card.yaml", "--work-dir", work)
    return folder, calibrate(log, *options, *files)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_draft_with_its_probabilities(calibrated: tuple[Path, Result], portfolio: tuple[Path, Path, Path]) -> None:
    folder, result = calibrated
    assert result.exit_code == 0, result.output
    document = read(folder / "draft.yaml", 92)
    assert document.name == "default"
    assert document.applies_to is None
    assert 1 <= len(document.measures) <= 10
    volumes = {
        (each.features[0], each.curve[0][1] < each.curve[-1][1])
        for each in document.measures
        if each.measure == "usage_volume" and each.features
    }
    assert volumes == {("report", True), ("help", False)}
    known = document.calibration
    assert known is not None
    assert (known.calibrated_on, known.source, known.lead_days, known.horizon_days) == (TODAY, "log.ndjson", 3, None)
    assert (known.decisions, known.churned) == (120, 45)
    days = sorted(date.fromisoformat(row["date"]) for row in csv.DictReader(portfolio[1].open()))
    assert (known.first_day, known.last_day) == (days[0], days[-1])
    low, high = churn_probability(known, 0), churn_probability(known, 100)
    assert low is not None
    assert high is not None
    assert low > 45 / 120 > high
    assert (folder / "draft.yaml").read_text().startswith("# Publish it: on accounts that it wasn't fitted to")


def test_the_terminal_the_page_and_the_json_say_the_same(calibrated: tuple[Path, Result]) -> None:
    folder, result = calibrated
    shown, page = flat(result.stdout), (folder / "report.html").read_text()
    found = json.loads((folder / "report.json").read_text())
    assert found["recommended"] is True
    sentences = [
        found["verdict"],
        f"Fitted to the outcomes before {found['cut']} alone, and tried on the {found['by_time']['decisions']} ",
        "120 decisions 3 days ahead; 45 churned, of 45 accounts.",
    ]
    body = page.split("<body>")[1].split("</body>")[0]
    tree = ElementTree.fromstring(f"<body>{body}</body>")
    text = flat(" ".join(tree.itertext()))
    for sentence in sentences:
        assert sentence in shown
        assert sentence in text
    assert len(tree.findall(".//svg")) == 4
    assert not re.search(r"(src|href)=|<script|@import|url\(", page)
    for value in (found["by_time"]["auc"][0], found["out_of_fold"]["others"]["a plain count of events"][0]):
        assert f"{value:.3f} [" in shown
        assert f"{value:.3f} [" in text
    assert shown.index("later outcomes") < shown.index("accounts unseen")
    assert found["scorecard"]["calibration"]["decisions"] == 120
    for shown_at, written in zip(
        found["probabilities"]["by_score"], found["scorecard"]["calibration"]["probabilities"], strict=True
    ):
        assert written == pytest.approx(shown_at, abs=1e-5)
    scores = [score for score, _ in found["probabilities"]["by_score"]]
    assert scores == list(range(0, 101, 5))


def test_the_same_log_gives_the_same_draft_again_without_reading_it(
    calibrated: tuple[Path, Result], portfolio: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    log, outcomes, work = portfolio
    before = {file: file.stat().st_mtime_ns for file in work.rglob("part-*.parquet")}
    options = ("--outcomes", outcomes, "--scorecard", calibrated[0] / "card.yaml", "--work-dir", work)
    result = calibrate(log, *options, "--out", tmp_path / "draft.yaml")
    assert result.exit_code == 0, result.output
    assert {file: file.stat().st_mtime_ns for file in work.rglob("part-*.parquet")} == before
    assert (tmp_path / "draft.yaml").read_text() == (calibrated[0] / "draft.yaml").read_text()


def test_measures_can_be_left_out_and_a_calibrated_scorecard_be_in_force(
    calibrated: tuple[Path, Result], portfolio: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    log, outcomes, work = portfolio
    out = tmp_path / "draft.yaml"
    options = ("--outcomes", outcomes, "--work-dir", work, "--out", out)
    result = calibrate(log, *options, "--without", "usage_volume", "--without", "active_days_7", "--at-most", 2,
                       "--scorecard", calibrated[0] / "draft.yaml")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "The scorecard in force was fitted to outcomes from 2024-0" in flat(result.stdout)
    assert "was fitted to outcomes from" not in calibrated[1].stdout
    document = read(out, 92)
    assert len(document.measures) <= 2
    assert not {"usage_volume"} & {each.measure for each in document.measures}
    said = refusal(log, *options, "--without", "tenure")
    assert "--without: 'tenure' is not a measure, so it can't be left out. Take some of active_users" in said


def test_few_churned_accounts_say_why_there_is_no_draft(portfolio: tuple[Path, Path, Path], tmp_path: Path) -> None:
    log, outcomes, work = portfolio
    few, out = tmp_path / "few.csv", tmp_path / "draft.yaml"
    rows = outcomes.read_text().splitlines()
    few.write_text("\n".join([rows[0], *rows[40:46], *rows[46:], ""]))
    result = calibrate(log, "--outcomes", few, "--work-dir", work, "--out", out)
    assert result.exit_code == 0, result.output
    assert "Only 6 accounts have left, and from fewer than 10 nothing can be learned" in flat(result.stdout)
    assert "There is no draft" in result.stdout
    assert not out.exists()


def test_a_report_that_cannot_be_written_is_printed_and_says_so(
    portfolio: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    log, outcomes, work = portfolio
    few = edited(outcomes, tmp_path, lambda rows: [rows[0], *rows[40:]])
    full = Path("/dev/full")  # every write fails there, as on a full disk
    result = calibrate(log, "--outcomes", few, "--work-dir", work, "--json", full, "--out", tmp_path / "draft.yaml")
    assert "Only 6 accounts have left" in flat(result.stdout)
    assert "--json /dev/full can't be written: No space left on device. Give another file" in str(result.exception)


def test_a_provisional_draft_has_neither_features_nor_probabilities(
    portfolio: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    log, outcomes, work = portfolio
    some, out = tmp_path / "some.csv", tmp_path / "draft.yaml"
    rows = outcomes.read_text().splitlines()
    some.write_text("\n".join([rows[0], *rows[30:], ""]))
    result = calibrate(log, "--outcomes", some, "--work-dir", work, "--out", out)
    assert result.exit_code == 0, result.output
    assert not re.search("^Publish it", result.stdout, re.MULTILINE)
    document = read(out, 92)
    assert document.calibration is None
    assert all(each.features is None for each in document.measures)
    assert "Scores are shown as no probabilities" in flat(result.stdout)
    assert "account-health scorecard publish" not in result.stdout


def test_a_scorecard_for_some_accounts_keeps_its_audience(portfolio: tuple[Path, Path, Path], tmp_path: Path) -> None:
    log, outcomes, work = portfolio
    card, out = tmp_path / "card.yaml", tmp_path / "draft.yaml"
    card.write_text(yaml.safe_dump(CARD | {"name": "large", "applies_to": {"segments": ["large"]}}))
    options = ("--outcomes", outcomes, "--work-dir", work, "--out", out)
    said = refusal(log, *options, "--scorecard", card, "--name", "large")
    assert "120 outcomes are left out: the scorecard wasn't for this account on the day of the decision" in said
    assert "--scorecard is named large, and the draft default. Give --name large" in refusal(
        log, *options, "--scorecard", card
    )
    assert "--name odd: no scorecard of this name ships" in refusal(log, *options, "--name", "odd")


def edited(outcomes: Path, folder: Path, edit: Callable[[list[str]], list[str]]) -> Path:
    path = folder / "edited.csv"
    path.write_text("\n".join([*edit(outcomes.read_text().splitlines()), ""]))
    return path


def test_outcomes_of_strangers_and_from_before_the_first_event_are_counted(
    portfolio: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    log, outcomes, work = portfolio
    after = BEGIN + timedelta(days=7 * WEEKS + 9)
    more = [f"nobody,{BEGIN + timedelta(days=60)},true", f"account-001,{BEGIN},true", f"account-002,{after},false"]
    file = edited(outcomes, tmp_path, lambda rows: [rows[0], *rows[40:60], *more])
    result = calibrate(log, "--outcomes", file, "--work-dir", work, "--out", tmp_path / "draft.yaml")
    assert result.exit_code == 0, result.output
    shown = flat(result.stdout)
    assert "1 outcome is left out: the log has no event of this account (nobody)" in shown
    assert "1 outcome is left out: the account had no event yet on the day of the decision (account-001)" in shown
    assert "1 outcome is left out: it lies after the end of the log (account-002)" in shown
    assert "20 decisions 3 days ahead" in shown


def test_bad_outcomes_say_what_to_do(portfolio: tuple[Path, Path, Path], tmp_path: Path) -> None:
    log, outcomes, work = portfolio
    out = tmp_path / "draft.yaml"

    def said(edit: Callable[[list[str]], list[str]]) -> str:
        return refusal(log, "--outcomes", edited(outcomes, tmp_path, edit), "--work-dir", work, "--out", out)

    assert "both churned and stayed" in said(lambda rows: [*rows, rows[1].replace("true", "false")])
    assert "no account churned. Add" in said(lambda rows: [rows[0], *rows[60:]])
    assert "no account stayed. Add" in said(lambda rows: rows[:20])
    assert "holds no outcomes. Give" in said(lambda rows: rows[:1])
    strangers = said(lambda rows: [rows[0], *(f"x{row}" for row in rows[40:60])])
    assert "None of the outcomes can be judged; 20 outcomes are left out: the log has no event" in strangers
    assert "with the same account ids" in strangers
    assert not out.exists()


def test_bad_logs_say_what_to_do(portfolio: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, outcomes, _ = portfolio
    options = ("--outcomes", outcomes, "--work-dir", tmp_path / "work", "--out", tmp_path / "draft.yaml")
    empty = tmp_path / "empty.ndjson"
    empty.write_text("")
    assert "no events. Nothing was replayed. Give a log with at least one event" in refusal(empty, *options)
    table = tmp_path / "log.parquet"
    times = pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 1000)
    pq.write_table(pa.table({"subject": ["a"] * 1000, "time": times, "feature": ["x"] * 1000}), table)
    table.write_bytes(table.read_bytes()[:-20])
    columns = ("--column", "subject=subject", "--column", "time=time", "--column", "feature=feature")
    assert "can't be read" in refusal(table, *options, "--topic", "usage-events", *columns)
    assert "There is no log. Give FILE" in refusal(*options)


def test_bad_options_are_refused_before_the_log_is_read(
    portfolio: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, outcomes, _ = portfolio
    work = tmp_path / "work"
    options = (log, "--outcomes", outcomes, "--work-dir", work)
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: [")
    assert "neither YAML nor JSON" in refusal(*options, "--scorecard", bad)
    bad.write_text("name: default\nmeasures: []\n")
    assert "can't be used:\n  measures" in refusal(*options, "--scorecard", bad)
    assert "there is no folder" in refusal(*options, "--out", tmp_path / "nowhere" / "draft.yaml")
    assert "--json" in refusal(*options, "--json", tmp_path / "nowhere" / "report.json")
    assert "is a folder" in refusal(*options, "--html", tmp_path)
    assert "--master is for Spark" in refusal(*options, "--master", "local[2]")
    assert "Give one of them" in refusal(*options, "--in-force", "--scorecard", bad)
    Path("draft.yaml").write_text("mine")
    assert "draft.yaml is there already. Move it, or give --out draft.yaml" in refusal(*options)
    assert Path("draft.yaml").read_text() == "mine"
    assert not work.exists()


def test_spark_without_java_says_what_to_install(
    portfolio: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, outcomes, _ = portfolio
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    options = ("--engine", "spark", "--work-dir", tmp_path / "work", "--out", tmp_path / "draft.yaml")
    assert "Install Java 17 or newer" in refusal(log, "--outcomes", outcomes, *options)


def test_too_many_decisions_are_refused(
    portfolio: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, outcomes, work = portfolio
    monkeypatch.setattr(material, "MOST_DECISIONS", 100)
    said = refusal(log, "--outcomes", outcomes, "--work-dir", work, "--out", tmp_path / "draft.yaml")
    assert "more than 100 decisions, too many for the memory. Give the outcomes of a shorter time" in said


def test_an_unfinished_run_is_continued(portfolio: tuple[Path, Path, Path], tmp_path: Path) -> None:
    log, outcomes, work = portfolio
    few = edited(outcomes, tmp_path, lambda rows: [rows[0], *rows[42:]])
    mine, options = tmp_path / "work", ("--outcomes", few, "--out", tmp_path / "draft.yaml")
    shutil.copytree(work, mine)
    first = calibrate(log, *options, "--work-dir", mine)
    assert first.exit_code == 0, first.output
    newest = max(mine.rglob("results/*"), key=lambda folder: folder.stat().st_mtime_ns)
    lost, *kept = sorted(newest.glob("part-*.parquet"))
    lost.unlink()
    times = {file: file.stat().st_mtime_ns for file in kept}
    assert calibrate(log, *options, "--work-dir", mine).stdout == first.stdout
    assert lost.exists()
    assert {file: file.stat().st_mtime_ns for file in kept} == times


def test_outcomes_can_come_from_the_log_itself(tmp_path: Path) -> None:
    log, outcomes = write_portfolio(tmp_path, accounts=30, churning=9)
    events: list[dict[str, Any]] = []
    for row in csv.DictReader(outcomes.open()):
        day = {"churned_on": row["date"]} if row["churned"] == "true" else {"renews_on": row["date"]}
        time = f"{row['date']}T09:00:00Z" if row["churned"] == "true" else "2024-01-02T09:00:00Z"
        events.append({"specversion": "1.0", "id": row["account_id"], "source": "/crm", "type": "account.changed",
                       "subject": row["account_id"], "time": time, "data": day})  # fmt: skip
    with log.open("a") as opened:
        opened.writelines(f"{json.dumps(each)}\n" for each in events)
    result = calibrate(log, "--work-dir", tmp_path / "work", "--out", tmp_path / "draft.yaml")
    assert result.exit_code == 0, result.output
    assert "28 decisions 3 days ahead; 9 churned, of 9 accounts." in flat(result.stdout)
    by_horizon = calibrate(log, "--horizon-days", 14, "--work-dir", tmp_path / "work", "--out", tmp_path / "draft.yaml")
    assert "churned within 14 days" in flat(by_horizon.stdout)
