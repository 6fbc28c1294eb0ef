"""`account-health scorecard adapt` on a real database: a draft that fits the accounts which have the scorecard now."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typer.testing import CliRunner, Result

from scoring.scorecards.document import parse
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import AttributesEvent, AttributeValue, Event, UsageEvent
from service.cli.app import app
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy, starter
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from service.storage.database.session import in_transaction, with_engine
from service.storage.policy import scorecards

RETENTION = 92
NOW = datetime.now(UTC)
SMB = {
    "name": "smb",
    "applies_to": {"segments": ["smb"]},
    "measures": [{"measure": "active_days", "window": 30, "weight": 1, "curve": [[0, 0], [3, 100]]}],
}


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The commands find the test's own database, with the default scorecard and one for a segment published."""
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_url)
    settings = load_settings()

    async def publish(connection: AsyncConnection) -> None:
        for document in (starter("default"), SMB):
            await scorecards.publish(connection, parse(document, RETENTION))

    in_transaction(settings, publish)
    return settings


def scorecard(*words: object) -> Result:
    return CliRunner().invoke(app, ["scorecard", *map(str, words)])


def made(account_id: str, active: int, **values: AttributeValue) -> list[Event]:
    """An account that was active on a number of days up to today."""
    moments = [to_micros(NOW - timedelta(days=ago)) for ago in range(active)]
    used: list[Event] = [UsageEvent(account_id, at, day_of(at), day_of(at), "login", 1, active) for at in moments]
    at = to_micros(NOW)
    return [*used, AttributesEvent(account_id, at, day_of(at), "a", dict(values))] if values else used


def fold(settings: Settings, events: dict[str, list[Event]]) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            policy = await load_policy(connection, RETENTION)
            await advance_accounts(connection, Inputs(events), policy, NOW, base_url="http://test")

    with_engine(settings, work)


@pytest.fixture
def portfolio(settings: Settings) -> None:
    """Thirty accounts of the default scorecard, one that has left, and two of another scorecard."""
    events = {f"account-{active:02}": made(f"account-{active:02}", active) for active in range(1, 31)}
    events["gone"] = made("gone", 30, churned_on=f"{NOW - timedelta(days=1):%Y-%m-%d}")
    events |= {name: made(name, 2, segment="smb") for name in ("small-1", "small-2")}
    fold(settings, events)


@pytest.mark.usefixtures("portfolio")
def test_the_draft_fits_the_accounts_in_force_and_can_be_published(tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    result = scorecard("adapt", "default", "--out", draft)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "applies to 30 of 33 accounts (that have left: 1; that have another scorecard: 2)." in result.stderr
    assert "silence_ratio" in result.stderr
    assert "No account has a value" in result.stderr
    assert "as many accounts in each as now, write into the draft bands: {red: 0, yellow: " in result.stderr
    assert f"scorecard preview {draft}" in result.stderr.replace("\n", " ")

    text = draft.read_text()
    assert text.startswith("# default, from version 1, adapted to 30 accounts on ")
    curves = {each["measure"]: each["curve"] for each in yaml.safe_load(text)["measures"]}
    assert curves["active_days"] == [[2, 0], [7, 19], [11, 33], [16, 52], [20, 67], [25, 85], [29, 100]]
    assert curves["nps"] == [[-100, 0], [0, 50], [100, 100]]
    for command in (("validate", draft), ("publish", draft, "--no-wait")):
        again = scorecard(*command)
        assert again.exit_code == 0, again.output


@pytest.mark.usefixtures("portfolio")
def test_without_a_file_the_draft_is_all_of_standard_output() -> None:
    result = scorecard("adapt", "default")
    assert parse(yaml.safe_load(result.stdout), RETENTION).name == "default"
    assert "full points" in result.stderr


@pytest.mark.usefixtures("portfolio")
def test_with_too_few_accounts_the_curves_stay_and_it_is_said() -> None:
    result = scorecard("adapt", "smb")
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["measures"][0]["curve"] == [[0, 0], [3, 100]]
    assert "Only 2 accounts have a value, and 20 are needed" in result.stderr


@pytest.mark.usefixtures("portfolio")
def test_many_accounts_are_sampled_and_it_is_said() -> None:
    result = scorecard("adapt", "default", "--accounts", "25")
    assert "of 25 accounts, sampled from 33" in result.stderr


def test_a_starter_can_be_adapted_before_it_is_published(settings: Settings) -> None:
    started = f"{NOW - timedelta(days=30):%Y-%m-%d}"
    fold(settings, {f"new-{n:02}": made(f"new-{n:02}", n, started_on=started) for n in range(1, 26)})
    result = scorecard("adapt", "onboarding")
    assert "onboarding, from the starter: it applies to 25 of 25 accounts" in result.stderr
    assert "name: onboarding" in result.stdout
    old = scorecard("adapt", "default", "--starter")
    assert "# default, from the starter" in old.stdout


def test_mistakes_are_explained(tmp_path: Path) -> None:
    assert str(scorecard("adapt", "nobody").exception) == str(
        HealthError("There is no scorecard nobody", "Run: account-health scorecard list")
    )
    assert "Give one of adoption" in str(scorecard("adapt", "smb", "--starter").exception)
    unwritable = tmp_path / "missing" / "draft.yaml"
    assert "can't be written" in str(scorecard("adapt", "default", "--out", unwritable).exception)
