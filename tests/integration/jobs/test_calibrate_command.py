"""`account-health calibrate` on what the service has itself, up to the probability that is shown beside a score."""

import asyncio
import csv
import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.document import parse
from service.cli.scorecard_file import read
from service.messaging.topics import create_topics
from service.runtime.settings import Settings
from service.storage.policy import scorecards
from tests.support.calibration_logs import account_changed, write_portfolio
from tests.support.cloud_events import produce, record
from tests.support.commands import command, environment

pytestmark = pytest.mark.anyio
CARD = {
    "name": "default",
    "measures": [{"measure": "active_days", "window": 7, "weight": 1, "curve": [[0, 0], [7, 100]]}],
}


async def test_a_draft_from_the_topics_and_what_is_in_force_can_be_published(
    settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    log, outcomes = write_portfolio(tmp_path)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    for row in csv.DictReader(outcomes.open()):
        left, day = row["churned"] == "true", date.fromisoformat(row["date"])
        if left:
            events.append(account_changed(row["account_id"], day, churned_on=row["date"]))
        else:
            events.append(account_changed(row["account_id"], date(2024, 1, 2), renews_on=row["date"]))
    await create_topics(settings)
    topics = settings.topics
    sent = [(topics["account" if each["type"] == "account.changed" else "usage"], each) for each in events]
    await produce(settings.kafka_bootstrap_servers, [record(topic, each) for topic, each in sent])
    async with engine.begin() as connection:
        await scorecards.publish(connection, parse(CARD, settings.retention_days))

    draft, env = tmp_path / "draft.yaml", environment(settings)
    words = ("calibrate", "--topics", "--in-force", "--processes", "1", "--work-dir", str(tmp_path / "work"), "--out")
    shown = await asyncio.to_thread(command, *words, str(draft), env=env, seconds=200)
    assert "45 churned, of 45 accounts" in " ".join(shown.stdout.split())
    document = read(draft, settings.retention_days)
    assert document.calibration is not None
    assert document.calibration.source == "the topics"

    await asyncio.to_thread(command, "scorecard", "publish", str(draft), "--no-wait", env=env)
    async with engine.connect() as connection:
        newest = {stored["name"]: (version, stored) for version, stored in await scorecards.newest(connection)}
    version, stored = newest["default"]
    assert version == 3  # after the one that ships, and the one above
    assert parse(stored, settings.retention_days) == document
