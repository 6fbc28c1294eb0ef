"""One trace from the request that brings an event, through Kafka and the fold, to the webhook and beyond."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.cloud_events import cloud_event, encode, produce, record, usage
from tests.support.collector import Collector, Span, collecting
from tests.support.commands import call, command, environment, service_up
from tests.support.service import eventually, folded_up_to, query, settings_for
from tests.support.webhooks import Receiver, answers, receiver

pytestmark = pytest.mark.anyio

CALLER = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN = "b7ad6b7169203331"
CONTEXT = f"00-{CALLER}-{CALLERS_SPAN}-01"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


async def one(collector: Collector, name: str, trace: str = CALLER) -> Span:
    """The only span of a name in a trace, once it is there."""

    async def there() -> bool:
        return any(span.trace == trace for span in collector.named(name))

    await eventually(there, f"a span {name} in {trace}")
    [span] = [span for span in collector.named(name) if span.trace == trace]
    return span


def trouble(account_id: str) -> list[dict[str, Any]]:
    """Events that bring an account's score down."""
    long_ago = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    tickets = [{"ticket_id": str(n), "status": "open", "priority": "urgent", "created_at": long_ago} for n in range(9)]
    detractors = [{"survey": "nps", "response_id": str(number), "score": 0} for number in range(3)]
    return [cloud_event("ticket", account_id, ticket) for ticket in tickets] + [
        cloud_event("survey", account_id, answer) for answer in detractors
    ]


async def healthy(bootstrap: str, topic: str, engine: AsyncEngine, *accounts: str, before: int) -> None:
    """Accounts that are well."""
    now = datetime.now(UTC)
    events = [usage(name, time=(now - timedelta(days=day)).isoformat()) for name in accounts for day in range(25)]
    await produce(bootstrap, [record(topic, event) for event in events])
    await folded_up_to(engine, before + len(events))


def env_of(database_url: str, bootstrap: str, topic_prefix: str, collector: Collector, **more: str) -> dict[str, str]:
    traced = {
        "HEALTH_TRACING": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        **more,
    }
    return environment(settings_for(database_url, bootstrap, topic_prefix), **traced)


async def test_one_trace_from_produce_to_webhook(
    database_url: str, bootstrap: str, topic_prefix: str, tmp_path: Path, engine: AsyncEngine
) -> None:
    with collecting() as collector:
        env = env_of(database_url, bootstrap, topic_prefix, collector)
        async with receiver(answers(500, 204)) as crm, service_up(env, tmp_path / "up.log") as url:
            key = command("api-key", "create", "test", "--scope", "admin", env=env).stdout.strip()
            await call(f"{url}/v1/webhook-endpoints", key, "POST", json={"url": crm.url})
            await healthy(bootstrap, env["HEALTH_TOPIC_USAGE"], engine, "acme", "globex", before=0)
            rule = {"name": "At risk", "kind": "score", "direction": "below", "level": 40, "clear_level": 45}
            await call(f"{url}/v1/alert-rules", key, "POST", json=rule)

            await _post(url, key, trouble("acme"), {"traceparent": CONTEXT})
            server = await one(collector, "POST /v1/events")
            assert (server.parent, server.kind, server.process) == (CALLERS_SPAN, SERVER, "api")
            assert server.attributes["http.response.status_code"] == 202
            sent = await one(collector, "send events")
            assert (sent.parent, sent.kind) == (server.id, PRODUCER)
            attempts = await _attempts(collector, crm, 2)
            fold = await one_that(collector, "fold events", attempts[0].parent)
            assert (fold.parent, fold.kind, fold.process, fold.trace) == (sent.id, CONSUMER, "consume", CALLER)
            assert {each.parent for each in attempts} == {fold.id}
            assert [each.failed for each in attempts] == [True, False]
            assert [each.attributes["http.response.status_code"] for each in attempts] == [500, 204]
            handed_on = [headers["traceparent"] for headers in crm.headers]
            assert handed_on == [f"00-{CALLER}-{each.id}-01" for each in attempts]
            whole = [span for span in collector.named("fold batch") if sent.id in span.links]
            assert whole
            assert {span.trace for span in whole}.isdisjoint({CALLER})
            assert fold.links[0] in {span.id for span in whole}
            await call(f"{url}/v1/accounts/acme/health", key)
            await _has_a_span(collector, "/v1/accounts/{account_id}/health")
            await _only_business_keys(collector, crm, key)

            # With the event's own attribute, straight into Kafka: only some events say that their trace is recorded.
            other = CALLER[::-1]
            events = [event | {"traceparent": f"00-{other}-{CALLERS_SPAN}-01"} for event in trouble("globex")]
            unsampled = usage("initech") | {"traceparent": f"00-{'1' * 32}-{CALLERS_SPAN}-00"}
            topics = {"ticket.changed": env["HEALTH_TOPIC_TICKET"], "survey.answered": env["HEALTH_TOPIC_SURVEY"]}
            await produce(bootstrap, [(topics[event["type"]], b"globex", encode(event)) for event in events])
            await produce(bootstrap, [record(env["HEALTH_TOPIC_USAGE"], unsampled)])
            await eventually(_told(crm, 3), "the second alert is told")
            delivered = await one(collector, "deliver", other)
            fold = await one_that(collector, "fold events", delivered.parent)
            assert (fold.parent, fold.trace) == (CALLERS_SPAN, other)
            assert not [span for span in collector.spans if span.trace == "1" * 32]
    kept = await query(engine, "SELECT account_id, traceparent FROM alerts ORDER BY id")
    assert [(row.account_id, row.traceparent.split("-")[1]) for row in kept] == [("acme", CALLER), ("globex", other)]


async def _has_a_span(collector: Collector, route: str) -> None:
    async def there() -> bool:
        return bool(collector.named(f"GET {route}"))

    await eventually(there, f"a span of {route}")
    [span] = collector.named(f"GET {route}")
    assert (span.kind, span.process) == (SERVER, "api")
    assert (span.attributes["http.route"], span.attributes["http.response.status_code"]) == (route, 200)


async def one_that(collector: Collector, name: str, span_id: str) -> Span:
    async def there() -> bool:
        return any(span.id == span_id for span in collector.named(name))

    await eventually(there, f"the span {span_id}")
    return next(span for span in collector.named(name) if span.id == span_id)


def _told(crm: Receiver, count: int) -> Any:
    async def enough() -> bool:
        return len(crm.bodies) >= count

    return enough


async def _attempts(collector: Collector, crm: Receiver, count: int) -> list[Span]:
    await eventually(_told(crm, count), f"{count} attempts", 60)

    async def there() -> bool:
        return len([span for span in collector.named("deliver") if span.trace == CALLER]) == count

    await eventually(there, f"{count} spans of attempts")
    attempts = [span for span in collector.named("deliver") if span.trace == CALLER]
    return sorted(attempts, key=lambda span: int(span.attributes["http.request.resend_count"]))


async def _only_business_keys(collector: Collector, crm: Receiver, key: str) -> None:
    told = json.dumps([span.attributes for span in collector.spans])
    assert "acme" in told, "an account's id is a business key"
    for secret in (key, crm.url, "ann"):
        assert secret not in told


async def _post(url: str, key: str, events: list[dict[str, Any]], headers: dict[str, str]) -> None:
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/cloudevents-batch+json",
        **headers,
    }
    async with aiohttp.request("POST", f"{url}/v1/events", headers=headers, data=json.dumps(events)) as answer:
        assert answer.status == 202, await answer.text()


async def test_without_a_collector_nothing_else_suffers(
    database_url: str, bootstrap: str, topic_prefix: str, tmp_path: Path, engine: AsyncEngine
) -> None:
    nowhere = Collector("http://127.0.0.1:9")
    env = env_of(
        database_url,
        bootstrap,
        topic_prefix,
        nowhere,
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_BSP_MAX_QUEUE_SIZE="64",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="32",
    )
    logs = tmp_path / "up.log"
    async with service_up(env, logs) as url:
        key = command("api-key", "create", "test", "--scope", "admin", env=env).stdout.strip()
        for _ in range(20):
            await _post(url, key, [usage(f"account-{number}") for number in range(20)], {"traceparent": CONTEXT})
        await folded_up_to(engine, 400)
        await asyncio.sleep(5)
    lines = [json.loads(line) for line in logs.read_text().splitlines() if line.startswith("{")]
    failures = [line for line in lines if line["event"] == "traces_not_exported"]
    assert sorted({line["process"] for line in failures}) == ["api", "consume"]
    assert len(failures) == 2, "one line for each process"
    assert not [line for line in lines if line.get("logger", "").startswith("opentelemetry")]
