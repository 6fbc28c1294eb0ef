"""Alerts and deliveries after a run: one alert for each crossing, one delivery of it to each endpoint."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.conditions import OK, Observation, RuleMemory
from scoring.scorecards.scorecard import Band
from service.evaluation.policy import read_condition
from service.storage.policy import rules
from tests.faults.checks import Account
from tests.support.oracle_scores import Verdict

ONE_WAY = ("falling", "rising", "steady")
"""Groups of accounts whose score moves one way only: each rule fires once if they end beyond it, else never."""

_memory = msgspec.msgpack.Decoder(dict[str, RuleMemory])
Alert = Row[Any]


async def stored_alerts(connection: AsyncConnection) -> Sequence[Alert]:
    """All alerts, by account in their order, with the endpoints they are delivered to."""
    rows = await connection.execute(
        text("""
            SELECT a.account_id, a.sequence, CAST(a.rule_id AS text) AS rule_id, a.rule, a.state, a.quiet,
                   ARRAY(SELECT d.endpoint_id FROM deliveries d WHERE d.alert_id = a.id) AS endpoints
            FROM alerts a ORDER BY a.account_id, a.sequence
        """)
    )
    return rows.all()


async def check_alerts(
    connection: AsyncConnection,
    alerts: Sequence[Alert],
    accounts: Mapping[str, Account],
    verdicts: Mapping[str, Verdict],
) -> AsyncIterator[str]:
    """Every account's alerts are those of its crossings."""
    endpoints = sorted((await connection.execute(text("SELECT id FROM webhook_endpoints"))).scalars())
    conditions = {
        str(rule["id"]): read_condition(rule["kind"], rule["document"]) for rule in await rules.all_rules(connection)
    }
    for alert in alerts:
        if alert.quiet or sorted(alert.endpoints) != endpoints:
            yield f"{alert.account_id} {alert.sequence}: quiet is {alert.quiet}, deliveries go to {alert.endpoints}"
    by_account = {account_id: list(some) for account_id, some in groupby(alerts, lambda alert: alert.account_id)}
    for account in accounts.values():
        mine = by_account.get(account.id, [])
        sequences = [alert.sequence for alert in mine]
        if sequences != list(range(1, len(mine) + 1)) or account.row.sequence != len(mine):
            yield f"{account.id}: alerts are numbered {sequences}, the last one is {account.row.sequence}"
        memory = _memory.decode(account.row.rule_memory) if account.row.rule_memory else {}
        for rule_id, condition in conditions.items():
            told = [alert.state for alert in mine if alert.rule_id == rule_id]
            remembered = memory.get(rule_id, OK)
            verdict = condition.verdict(remembered, _seen(account.day, verdicts[account.id]))
            for difference in _check_rule(account.id, told, remembered.state == "firing", verdict):
                yield f"{account.id}, {condition}: {difference}"


def _check_rule(account_id: str, told: list[str], fires: bool, verdict: str) -> Iterator[str]:
    if told != [("firing", "resolved")[number % 2] for number in range(len(told))]:
        yield f"its alerts are {told}"
    if fires != bool(told and told[-1] == "firing"):
        yield f"it {'fires' if fires else 'does not fire'}, but its alerts are {told}"
    if (verdict == "breach" and not fires) or (verdict == "clear" and fires):
        yield f"the score says {verdict}, but its alerts are {told}"
    if account_id.startswith(ONE_WAY) and told != (["firing"] if verdict == "breach" else []):
        yield f"the score moves one way and says {verdict}, but its alerts are {told}"


def _seen(day: int, verdict: Verdict) -> Observation:
    bands: dict[str, Band] = {"green": "green", "yellow": "yellow", "red": "red"}
    score = None if verdict.score is None else float(verdict.score)
    return Observation(day, score, bands.get(verdict.band, "unknown"))
