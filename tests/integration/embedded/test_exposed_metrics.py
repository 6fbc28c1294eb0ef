"""A service that runs exposes every metric that dashboards and alerting rules ask for, with the labels they ask by."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine

from service.embedded.ports import free_port
from service.runtime.settings import Settings
from tests.support.cloud_events import encode, produce, record, usage
from tests.support.commands import call, command, environment, service_up
from tests.support.expressions import needed_by
from tests.support.grafana import MADE_BY_PROMETHEUS, promql
from tests.support.paths import ROOT
from tests.support.promtool import promtool
from tests.support.service import consuming, eventually, folded_up_to
from tests.support.webhooks import receiver

pytestmark = pytest.mark.anyio

RULES = ROOT / "deploy" / "prometheus" / "rules" / "account-health.yml"
PROCESSES = ("consume", "sweep", "deliver", "api")
OF_TARGETS = {"instance", "job"}
"""Labels that Prometheus adds."""

Exposed = dict[str, str]
"""The text that each process exposes."""


@pytest.fixture
async def exposed(settings: Settings, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Exposed]:
    """The metrics of all processes of `up` after events, a dead letter, an alert and its webhook."""
    # Accounts are counted when the sweeper starts, and then only after a minute.
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("early"))])
        await folded_up_to(engine, 1)
    first = free_port()
    env = environment(settings, HEALTH_PROBES_PORT=str(first))
    ports = {name: first + place for place, name in enumerate(PROCESSES)}
    async with receiver() as there, service_up(env, tmp_path / "log") as url:
        key = command("api-key", "create", "test", "--scope", "admin", env=env).stdout.strip()
        rule = {"name": "At risk", "kind": "score", "direction": "below", "level": 99, "clear_level": 100}
        await call(f"{url}/v1/alert-rules", key, "POST", json=rule)
        await call(f"{url}/v1/webhook-endpoints", key, "POST", json={"url": there.url})
        for number in range(20):
            at = (datetime.now(UTC) - timedelta(hours=number)).isoformat()
            await call(f"{url}/v1/events", key, "POST", json=usage(f"account-{number % 5}", time=at))
        without_key = (settings.topic_usage, None, encode(usage("account-0")))
        await produce(settings.kafka_bootstrap_servers, [(settings.topic_usage, b"acme", b"not JSON"), without_key])

        async def all_done() -> bool:
            texts = {name: await _scrape(port) for name, port in ports.items()}
            return (
                bool(there.ids)
                and 'outcome="dead_letter"' in texts["consume"]
                and "health_lag_records{" in texts["consume"]
                and 'reason="no_key"' in texts["consume"]
                and 'outcome="succeeded"' in texts["deliver"]
                and "health_delivery_endpoints{" in texts["deliver"]
                and 'health_accounts{band="' in texts["sweep"]
            )

        await eventually(all_done, "events were folded, an alert was sent, and accounts were counted", 60)
        yield {name: await _scrape(port) for name, port in ports.items()}


async def _scrape(port: int) -> str:
    async with aiohttp.request("GET", f"http://127.0.0.1:{port}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


def labels(exposed: Exposed) -> dict[str, set[str]]:
    """The labels of each metric, over all processes."""
    found: dict[str, set[str]] = defaultdict(set, {name: set(more) for name, more in MADE_BY_PROMETHEUS.items()})
    for text in exposed.values():
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] |= sample.labels.keys()
    return found


def expressions() -> dict[str, str]:
    """Every expression of dashboards and rules, by its place."""
    groups: Any = yaml.safe_load(RULES.read_text())["groups"]
    rules = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    return rules | {f"operators.json: {where}": text for where, text in promql("operators.json")}


async def test_what_is_asked_for_is_there_and_well_formed(exposed: Exposed) -> None:
    found = labels(exposed)
    missing = {
        where: wanting
        for where, expression in expressions().items()
        if (wanting := [need for need in needed_by(expression) if not _has(found, *need)])
    }
    assert missing == {}
    assert len(expressions()) > 50
    for name, text in exposed.items():
        checked = promtool("check", "metrics", given=text)
        problems = [line for line in checked.stderr.splitlines() if line.startswith("health_")]
        assert problems == [], name
        assert "account-" not in text.replace("account-events", "").replace("account-health", ""), name


def _has(found: dict[str, set[str]], metric: str, label: str) -> bool:
    return metric in found and (not label or label in found[metric] | OF_TARGETS)
