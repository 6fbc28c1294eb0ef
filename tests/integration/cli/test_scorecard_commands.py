"""`account-health scorecard …` on a real database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from scoring.scorecards.document import parse
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, UsageEvent
from service.cli.app import app
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy, publish_default
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from service.storage.database.session import in_transaction, with_engine
from tests.integration.api.test_api_scorecards import MEASURE, document
from tests.unit.scoring.test_scorecard_documents import CALIBRATION

RETENTION = 92


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The commands find the test's own database, with the default scorecard published."""
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_url)
    settings = load_settings()
    in_transaction(settings, lambda connection: publish_default(connection, RETENTION))
    return settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "scorecard.yaml"


def scorecard(*words: object) -> Result:
    return CliRunner().invoke(app, ["scorecard", *map(str, words)])


def said(*words: object) -> str:
    """The output of a command that has to succeed."""
    result = scorecard(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def write(file: Path, **changes: Any) -> Path:
    file.write_text(yaml.safe_dump(document(**changes)))
    return file


def fold(settings: Settings, days: dict[str, int]) -> None:
    """Accounts that were active on a number of days up to today."""
    now = datetime.now(UTC)
    events: dict[str, list[Event]] = {}
    for account_id, active in days.items():
        moments = [to_micros(now - timedelta(days=ago)) for ago in range(active)]
        events[account_id] = [UsageEvent(account_id, at, day_of(at), day_of(at), "login", 1, 1) for at in moments]

    async def work(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            policy = await load_policy(connection, RETENTION)
            await advance_accounts(connection, Inputs(events), policy, now, base_url="http://test")

    with_engine(settings, work)


def test_a_starter_can_be_published_as_it_is(file: Path) -> None:
    listed = said("starter")
    for name in ("adoption", "onboarding", "renewal"):
        assert f"\n{name}" in f"\n{listed}"
        file.write_text(said("starter", name))
        validated = scorecard("validate", file)
        assert (validated.exit_code, validated.stderr) == (0, "")
        published = scorecard("publish", file, "--no-wait")
        assert (published.stdout, published.stderr) == (f"{name} version 1 is published.\n", "")
    assert isinstance(scorecard("starter", "../default").exception, HealthError)


def test_every_field_at_fault_is_named(file: Path) -> None:
    curve = [[0, 0], [20, 50], [10, 100]]
    write(file, measures=[{**MEASURE, "weight": 0, "curve": curve}, {**MEASURE, "measure": "nsp"}], applies_to={})
    for command in ("validate", "diff", "preview", "publish"):
        failed = scorecard(command, file)
        assert failed.exit_code == 1
        assert isinstance(failed.exception, HealthError)
        for line in ("applies_to: overlapping defaults", "measures[0].curve: values must rise", "'nsp' is not a"):
            assert line in str(failed.exception), command
    file.write_text("name: [")
    assert "neither YAML nor JSON" in str(scorecard("validate", file).exception)
    assert scorecard("validate", file.parent / "nowhere.yaml").exit_code == 2


def test_warnings_are_shown_and_stop_nobody(file: Path) -> None:
    write(file, measures=[MEASURE, {**MEASURE, "name": "idle", "weight": 0}])
    validated = scorecard("validate", file)
    assert validated.exit_code == 0
    assert validated.stderr.startswith("warning: measures[1].weight: is 0")
    assert "with 1 warning." in validated.stdout
    assert "measures[1].weight" in scorecard("publish", file).stderr
    write(file, name="other")
    assert "0 is also the rank of smb" in scorecard("diff", file).stderr


def test_a_diff_is_against_the_newest_version(file: Path) -> None:
    write(file)
    first = said("diff", file).splitlines()
    assert first[0] == "smb is new: no scorecard of this name is published."
    assert "+ applies_to.segments: [smb]" in first
    said("publish", file)
    assert said("diff", file) == "smb version 1 has this content already.\n"
    write(file, measures=[{**MEASURE, "weight": 15}, {**MEASURE, "name": "more"}], applies_to={"stages": ["live"]})
    assert said("diff", file).splitlines() == [
        "smb, from version 1:",
        "- applies_to.segments: [smb]",
        "+ applies_to.stages: [live]",
        "~ measures.active_days.weight: 1 -> 15",
        "+ measures.more: {measure: active_days, weight: 1, curve: [[0, 0], [20, 100]], name: more, window: 30}",
    ]


def test_a_diff_is_coloured_on_a_terminal(file: Path) -> None:
    write(file)
    coloured = CliRunner().invoke(app, ["scorecard", "diff", str(file)], color=True)
    assert "\x1b[32m+ applies_to.segments: [smb]\x1b[0m" in coloured.stdout
    assert "\x1b" not in said("diff", file)


def test_published_versions_are_listed_and_shown_as_they_were_written(file: Path) -> None:
    write(file, applies_to={"segments": ["smb", "[b]micro"], "tenure_days": [0, 90], "rank": 3})
    said("publish", file)
    written = yaml.safe_load(file.read_text())
    said("publish", write(file, min_coverage=0.25))
    header, default, newest, first = said("list").splitlines()
    assert header.split() == ["name", "version", "published", "for", "whom", "calibrated", "measures"]
    assert "all the rest" in default
    assert "days_since_last_use, silence_ratio" in default
    assert "segment smb (rank 0)" in newest
    assert "segment smb or [b]micro, day 0 to 90 (rank 3)" in first
    shown = said("show", "smb", "--version", 1)
    assert shown.startswith("# smb version 1, published 20")
    assert "weight: 1\n" in shown
    assert parse(yaml.safe_load(shown), RETENTION) == parse(written, RETENTION)
    file.write_text(said("show", "smb"))
    assert said("diff", file) == "smb version 2 has this content already.\n"
    for wrong in (("nope",), ("smb", "--version", 3)):
        assert "There is no scorecard" in str(scorecard("show", *wrong).exception)


def test_a_preview_shows_what_would_change_and_changes_nothing(settings: Settings, file: Path) -> None:
    one_measure = {"name": "default", "applies_to": None, "measures": [MEASURE]}
    changes = {field: value for field, value in {**document(), **one_measure}.items() if value is not None}
    file.write_text(yaml.safe_dump(changes))
    said("publish", file)
    fold(settings, {"two [red]": 2, "nine": 9, "sixteen": 16})
    unchanged = said("preview", file)
    assert "default, in place of version 2: 3 accounts evaluated, 3 of them by it." in unchanged
    assert "+0.00 in the mean" in unchanged
    file.write_text(yaml.safe_dump({**changes, "measures": [{**MEASURE, "curve": [[0, 0], [30, 100]]}]}))
    shown = said("preview", file)
    rows = [line.split() for line in shown.splitlines()]
    assert ["green", "-", "1", "-", "-"] in rows
    assert ["yellow", "-", "-", "1", "-"] in rows
    assert ["two", "[red]", "10.0", "red", "6.7", "red", "active_days", "-3.3"] in rows
    assert "version 3" not in said("list")
    assert "2 of 3 accounts evaluated" in said("preview", file, "--accounts", 2)
    assert "default version 2" in said("show", "default")


def test_a_calibration_is_published_from_a_file_and_shown_as_it_was_written(file: Path) -> None:
    said("publish", write(file))
    write(file, calibration=CALIBRATION)
    assert "+ calibration.probabilities: [[0, 0.31], [5, 0.28], [100, 0.002]]" in said("diff", file).splitlines()
    assert "Its calibration is another" in said("preview", file)
    assert "smb version 2 is published." in said("publish", "--no-wait", file)
    assert "smb version 2 has this content already." in said("publish", file)
    shown = said("show", "smb")
    assert "calibrated_on: 2026-11-30" in shown
    assert "probabilities:" in shown
    assert parse(yaml.safe_load(shown), RETENTION) == parse(yaml.safe_load(file.read_text()), RETENTION)
    assert "Its calibration is another" not in said("preview", file)
    write(file, calibration={**CALIBRATION, "decisions": 2816})
    assert said("diff", file).splitlines() == ["smb, from version 2:", "~ calibration.decisions: 2815 -> 2816"]
    write(file, calibration={**CALIBRATION, "churned": 3000})
    refused = str(scorecard("publish", file).exception)
    assert "calibration.churned: must be 0 to 2815, the number of decisions" in refused


def test_a_database_without_tables_or_none_at_all_is_reported(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file)
    monkeypatch.setenv("HEALTH_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert scorecard("validate", file).exit_code == 0
    for words in (
        ("diff", file),
        ("preview", file),
        ("publish", file),
        ("list",),
        ("show", "default"),
        ("adapt", "default"),
    ):
        failed = scorecard(*words)
        assert isinstance(failed.exception, HealthError), words
        assert "Postgres can't be used" in str(failed.exception)
