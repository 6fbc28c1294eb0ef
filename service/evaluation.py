"""Advance accounts in one transaction: lock, fold, judge, save, alert. Consumers, sweeper and API meet here."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.advance import Policy, Step, advance
from scoring.attributes import AttributeState
from scoring.events import AttributesEvent, Event, SurveyEvent, TicketEvent, UsageEvent
from scoring.rules import Memory
from scoring.state import AccountState, decode, encode
from scoring.windows import to_micros
from service.alerting import Before, crossing_alerts
from service.storage import accounts, alerts, deliveries, scores, states
from service.storage.scores import ScoreRow

YIELD_EVERY = 500
"""Accounts between two turns of the event loop, so that heartbeats go out during a large batch."""

_memory = msgspec.msgpack.Decoder(dict[str, Memory])


@dataclass(slots=True)
class Outcome:
    """What a transaction did, for metrics and logs."""

    accounts: int = 0
    late: int = 0
    alerts: int = 0
    deliveries: int = 0


@dataclass(slots=True)
class _Writes:
    """What a transaction is going to write."""

    usage: dict[str, bytes] = field(default_factory=dict)
    tickets: dict[str, bytes] = field(default_factory=dict)
    surveys: dict[str, bytes] = field(default_factory=dict)
    attributes: dict[str, AttributeState] = field(default_factory=dict)
    score_rows: list[ScoreRow] = field(default_factory=list)
    crossed: list[tuple[Row[Any], AccountState, Step]] = field(default_factory=list)
    late: int = 0


async def advance_accounts(
    connection: AsyncConnection,
    events: Mapping[str, Sequence[Event]],
    policy: Policy,
    now: datetime,
    *,
    base_url: str,
    quiet: AbstractSet[str] = frozenset(),
) -> Outcome:
    """Fold `events` (by account; none means that only time has passed) and bring everything stored up to `now`.

    One transaction, the caller's: states, scores, alerts and their deliveries are written together or not at all.
    Alerts of accounts in `quiet`, whose events are all history, are kept but told to nobody.
    """
    rows = await states.lock(connection, sorted(events))
    micros = to_micros(now)
    writes = _Writes()
    for index, row in enumerate(rows):
        _advance(row, events[row.account_id], policy, micros, writes)
        if index % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
    told = await _alert_rows(connection, writes.crossed, policy, base_url, quiet)
    await states.save(connection, "usage_states", writes.usage)
    await states.save(connection, "ticket_states", writes.tickets)
    await states.save(connection, "survey_states", writes.surveys)
    await accounts.save_attributes(connection, writes.attributes)
    await scores.save(connection, writes.score_rows, now)
    await alerts.insert(connection, told, now)
    loud = [alert.id for alert in told if not alert.quiet]
    sent = await deliveries.enqueue(connection, loud, now) if loud else 0
    return Outcome(len(rows), writes.late, len(told), sent)


def read_state(row: Row[Any]) -> AccountState:
    """The account state in a row of `states.read`."""
    return decode(row.usage, row.tickets, row.surveys, row.attributes)


def _advance(row: Row[Any], events: Sequence[Event], policy: Policy, now: int, writes: _Writes) -> None:
    state = read_state(row)
    memory = _memory.decode(row.rule_memory) if row.rule_memory else {}
    step = advance(state, memory, events, policy, now)
    _keep_states(row.account_id, state, {type(event) for event in events}, writes)
    writes.late += step.late
    if step.crossings:
        writes.crossed.append((row, state, step))
    evaluation = step.evaluation
    writes.score_rows.append(
        ScoreRow(
            account_id=row.account_id,
            score=evaluation.score,
            band=evaluation.band,
            coverage=evaluation.coverage,
            day=evaluation.day,
            scorecard=evaluation.scorecard,
            scorecard_version=evaluation.version,
            measures=scores.encode_measures(evaluation.measures),
            usage_at=state.usage.newest_at,
            ticket_at=state.tickets.newest_at,
            survey_at=state.surveys.newest_at,
            rule_memory=msgspec.msgpack.encode(step.memory) if step.memory else None,
            sequence=row.sequence + len(step.crossings),
            due_at=step.due,
        )
    )


def _keep_states(account_id: str, state: AccountState, kinds: Iterable[type[Event]], writes: _Writes) -> None:
    for kind in kinds:
        if kind is UsageEvent:
            writes.usage[account_id] = encode(state.usage)
        elif kind is TicketEvent:
            writes.tickets[account_id] = encode(state.tickets)
        elif kind is SurveyEvent:
            writes.surveys[account_id] = encode(state.surveys)
        elif kind is AttributesEvent:
            writes.attributes[account_id] = state.attributes


async def _alert_rows(
    connection: AsyncConnection,
    crossed: Sequence[tuple[Row[Any], AccountState, Step]],
    policy: Policy,
    base_url: str,
    quiet: AbstractSet[str],
) -> list[alerts.AlertRow]:
    """The alerts of all crossings. Reads the measures as they stood, so it comes before the scores are saved."""
    if not crossed:
        return []
    before = await scores.measures(connection, [row.account_id for row, _, _ in crossed])
    return [
        alert
        for row, state, step in crossed
        for alert in crossing_alerts(
            Before(row.account_id, row.score, row.band, row.sequence, before.get(row.account_id)),
            state.attributes.value("name"),
            step,
            policy,
            base_url=base_url,
            quiet=row.account_id in quiet,
        )
    ]
