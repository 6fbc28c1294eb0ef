"""Compares the contents of Postgres after a run with the truth. Every check yields the differences, in words."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.history.day_by_day import evaluate_now
from scoring.rules.policy import Policy
from scoring.state.account_state import AccountState, encode, fold
from scoring.state.calendar import from_day, from_micros, start_of, to_day
from scoring.state.events import Event
from service.evaluation.changes import read_state
from service.evaluation.policy import load_policy
from service.runtime.settings import Settings
from service.storage.accounts import states
from service.storage.ingest import progress
from tests.faults.ground import SCORECARDS
from tests.faults.truth import Tally, Truth
from tests.support.listed import listed_differences
from tests.support.oracle_scores import Verdict, choose, evaluate

CLOSE = 1e-6


@dataclass(frozen=True)
class Account:
    """An account as it is stored: its row, its state, its score's row."""

    row: Any
    """An account as `states.read` returns it."""
    state: AccountState
    score: Row[Any]

    @property
    def id(self) -> str:
        return str(self.row.account_id)

    @property
    def day(self) -> int:
        """The day that its score is of."""
        return to_day(self.score.day or date(1970, 1, 1))


async def stored_accounts(connection: AsyncConnection) -> dict[str, Account]:
    """All accounts."""
    scores = await connection.execute(text("SELECT account_id, score, band, coverage, day, usage_at FROM scores"))
    by_id = {score.account_id: score for score in scores}
    rows = await states.read(connection, sorted(by_id))
    return {row.account_id: Account(row, read_state(row), by_id[row.account_id]) for row in rows}


async def check_offsets(connection: AsyncConnection, truth: Truth) -> AsyncIterator[str]:
    """Every partition was folded to its end, and no further."""
    found = {(row.topic, row.partition): row.next_offset for row in await progress.all_partitions(connection)}
    for partition in truth.ends.keys() | found.keys():
        if found.get(partition) != truth.ends.get(partition):
            yield f"{partition}: next offset {found.get(partition)}, but the log ends at {truth.ends.get(partition)}"


async def check_dead_letters(connection: AsyncConnection, truth: Truth) -> AsyncIterator[str]:
    """Dead letters are exactly the poison."""
    rows = await connection.execute(text('SELECT topic, partition, "offset", reason FROM dead_letters'))
    found = {(row.topic, row.partition, row.offset): row.reason for row in rows}
    for position in sorted(truth.poison.keys() - found.keys()):
        yield f"{position}: poison ({truth.poison[position]}), but no dead letter"
    for position in sorted(found.keys() - truth.poison.keys()):
        yield f"{position}: a dead letter ({found[position]}), but no poison"


def check_states(accounts: Mapping[str, Account], truth: Truth, settings: Settings) -> Iterator[str]:
    """Every state has the bytes of one fold of all events at once, and says what plain counting says."""
    yield from check_folds(accounts, truth.events, settings)
    for account in accounts.values():
        yield from _check_tally(account, truth.tallies.get(account.id, Tally()))


def check_folds(
    accounts: Mapping[str, Account], events: Mapping[str, Sequence[Event]], settings: Settings
) -> Iterator[str]:
    """Every state has the bytes of one fold of all events at once."""
    for account_id in sorted(events.keys() ^ accounts.keys()):
        yield f"{account_id!r}: has events or a row, but not both"
    for account_id, account in accounts.items():
        expected = AccountState()
        fold(expected, events.get(account_id, []), settings.retention_days)
        for signal in ("usage", "tickets", "surveys", "attributes"):
            if encode(getattr(account.state, signal)) != encode(getattr(expected, signal)):
                yield f"{account_id!r}: {signal} differ from a fold of all events at once"


def _check_tally(account: Account, tally: Tally) -> Iterator[str]:
    state = account.state
    usage = {
        (feature, from_day(day).isoformat()): quantity
        for feature, days in state.usage.features.items()
        for day, quantity in days.items()
    }
    if usage != tally.usage:
        counted, found = tally.usage.total(), sum(usage.values())
        yield f"{account.id}: usage of {found:,} by feature and day, counted were {counted:,}"
    tickets = {ticket_id: ticket.status for ticket_id, ticket in state.tickets.tickets.items()}
    if tickets != {ticket_id: status for ticket_id, (_, status) in tally.tickets.items()}:
        yield f"{account.id}: tickets {tickets}, counted {tally.tickets}"
    # Respondents are stored as hashes, so only the counts of each score can be compared.
    scores = Counter(
        answer.score / 1_000_000 for answers in state.surveys.surveys.values() for answer in answers.last.values()
    )
    if scores != Counter(score for _, score in tally.answers.values()):
        yield f"{account.id}: answers {scores}, counted {tally.answers}"
    attributes = {name: register.value for name, register in state.attributes.registers.items()}
    if attributes != {name: value for name, (_, value) in tally.attributes.items()}:
        yield f"{account.id}: attributes {attributes}, counted {tally.attributes}"


async def check_scores(
    connection: AsyncConnection, accounts: Mapping[str, Account], verdicts: Mapping[str, Verdict], settings: Settings
) -> AsyncIterator[str]:
    """Every score is that of the stored state, and that of the exact oracle."""
    policy = await load_policy(connection, settings.retention_days)
    for account in accounts.values():
        for difference in _check_score(account, policy, verdicts[account.id]):
            yield difference


def _check_score(account: Account, policy: Policy, verdict: Verdict) -> Iterator[str]:
    stored = account.score
    judged = evaluate_now(account.state, policy, start_of(account.day))
    if (stored.score, stored.band, stored.coverage) != (judged.score, judged.band, judged.coverage):
        yield f"{account.id}: stored are {stored.score} {stored.band}, its state gives {judged.score} {judged.band}"
    usage_at, newest_at = stored.usage_at, account.state.usage.newest_at
    if usage_at != (from_micros(newest_at) if newest_at else None):
        yield f"{account.id}: the time of its newest usage is {usage_at}, its state says {newest_at}"
    if not _is_close(stored.score, verdict) or stored.band != verdict.band:
        yield f"{account.id}: stored are {stored.score} {stored.band}, counted {verdict.score} {verdict.band}"


def _is_close(score: float | None, verdict: Verdict) -> bool:
    if score is None or verdict.score is None:
        return score is None and verdict.score is None
    return abs(score - float(verdict.score)) < CLOSE


async def check_lists(engine: AsyncEngine) -> AsyncIterator[str]:
    """Lists show the accounts as they are, to the tenth of a point."""
    for account_id, *shown in sorted(await listed_differences(engine), key=str):
        yield f"{account_id!r}: {shown} is shown by the account or in lists, but not by both"


def verdicts_of(accounts: Mapping[str, Account], truth: Truth, settings: Settings) -> dict[str, Verdict]:
    """The exact oracle's verdict on every account, for the day of its stored score."""
    documents = {document["name"]: document for document in SCORECARDS}
    verdicts = {}
    for account in accounts.values():
        events: Sequence[Any] = truth.events.get(account.id, [])
        name = choose(SCORECARDS, events, account.day, settings.retention_days)
        verdicts[account.id] = evaluate(documents[name], events, account.day, settings.retention_days)
    return verdicts
