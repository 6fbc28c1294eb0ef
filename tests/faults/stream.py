"""The records of a run, made of a seed: in no order of time, some sent twice, some late, some that can't be used."""

from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import msgspec

from service.runtime.settings import Signal
from tests.support.cloud_events import TYPES

MAX_RECORD_BYTES = 4096
POISON = "poison"
"""The header that marks a record which has to become a dead letter; its value is the fault."""

ACCOUNTS = {"falling": 200, "rising": 200, "steady": 200, "mixed": 1900}
"""The number of accounts of each group. The first three's scores move one way only, and steady ones' hardly."""
_WEIGHTS = {"falling": 1.5, "rising": 3.0, "steady": 1.0, "mixed": 94.5}
_SIGNALS: dict[str, dict[Signal, int]] = {
    "falling": {"ticket": 90, "account": 10},
    "rising": {"usage": 90, "account": 10},
    "steady": {"ticket": 90, "account": 10},
    "mixed": {"usage": 84, "ticket": 8, "survey": 5, "account": 3},
}
CREATE_TIME: frozenset[Signal] = frozenset({"survey", "account"})
"""Signals whose topics keep the timestamps of senders."""
_COPIES, _POISONED, _TOMBSTONES, _LATE = 0.05, 0.006, 0.004, 0.02
STAMPED_AHEAD = "stamped ahead"
_AHEAD = timedelta(days=400)
_SPAN, _LATE_SPAN = timedelta(days=60), (timedelta(days=95), timedelta(days=300))
_STATUSES = ("new", "open", "pending", "hold", "solved", "solved", "solved", "closed")
_TICKETS = 12
"""Tickets of an account: first snapshots, then changes."""
_SEGMENTS = ("smb", "enterprise", None)

Body = dict[str, Any]


class Sent(NamedTuple):
    """A record to send, and its topic's signal."""

    signal: Signal
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    """The sender's timestamp; None is now. Only topics with CreateTime use it."""


class Stream:
    """An endless stream; the same seed and start give the same one."""

    def __init__(self, seed: int, start: datetime) -> None:
        """No event is dated after `start`."""
        self._chance = Random(seed)
        self._start = start
        self._made = 0
        self._earlier: deque[Sent] = deque(maxlen=50_000)
        self._urgent: Counter[str] = Counter()

    def take(self, count: int) -> list[Sent]:
        """The next records."""
        return [self._next() for _ in range(count)]

    def forget(self) -> None:
        """Send nothing of before again."""
        self._earlier.clear()

    def _next(self) -> Sent:
        drawn = self._chance.random()
        if drawn < _COPIES and self._earlier:
            # Half of the copies come at once, so that they meet the first in a batch, the others much later.
            nearest = min(50, len(self._earlier)) if drawn < _COPIES / 2 else len(self._earlier)
            return self._earlier[-self._chance.randint(1, nearest)]
        account = self._account()
        group = account.partition("-")[0]
        signals = _SIGNALS[group]
        signal = self._chance.choices(list(signals), list(signals.values()))[0]
        if drawn > 1 - _POISONED:
            return self._poisoned(signal, account, group)
        if drawn > 1 - _POISONED - _TOMBSTONES:
            return Sent(signal, account.encode(), None)
        sent = Sent(signal, account.encode(), msgspec.json.encode(self._event(signal, account, group)))
        self._earlier.append(sent)
        return sent

    def _account(self) -> str:
        group = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        # Squared, so that some accounts get far more than others.
        return f"{group}-{int(ACCOUNTS[group] * self._chance.random() ** (2 if group == 'mixed' else 1))}"

    def _event(self, signal: Signal, account: str, group: str) -> Body:
        self._made += 1
        at = self._start - self._chance.random() * _SPAN
        if self._chance.random() < _LATE:
            earliest, latest = _LATE_SPAN
            at = self._start - earliest - self._chance.random() * (latest - earliest)
        return {
            "specversion": "1.0",
            # Three sources number their events alike: only both together identify one.
            "id": str(self._made // 3),
            "source": f"/faults/{self._made % 3}",
            "type": TYPES[signal],
            "subject": account,
            "time": at.isoformat(),
            "data": self._data(signal, account, group, at),
        }

    def _data(self, signal: Signal, account: str, group: str, at: datetime) -> Body:
        if signal == "usage":
            return self._usage()
        if signal == "ticket":
            return self._ticket(account, group, at)
        return self._survey() if signal == "survey" else self._attributes(account, group)

    def _usage(self) -> Body:
        chance = self._chance
        return {
            "feature": f"feature-{chance.randrange(6)}",
            "user_id": f"user-{chance.randrange(25)}",
            "quantity": chance.randint(1, 5),
        }

    def _ticket(self, account: str, group: str, at: datetime) -> Body:
        ticket: Body = {
            "ticket_id": f"T-{self._chance.randrange(_TICKETS)}",
            "status": self._chance.choice(_STATUSES) if group == "mixed" else "open",
            "priority": "urgent",
            "created_at": (at - timedelta(days=self._chance.randrange(9))).isoformat(),
        }
        if group == "steady":
            self._urgent[account] += 1
            ticket["ticket_id"] = f"T-{self._urgent[account]}"
            ticket["priority"] = "urgent" if self._urgent[account] <= 2 else "low"
        if ticket["status"] in ("solved", "closed"):
            ticket |= {"solved_at": at.isoformat(), "reopens": self._chance.randrange(3)}
        return ticket

    def _survey(self) -> Body:
        chance = self._chance
        who = {"response_id": f"response-{self._made}", "respondent_id": f"user-{chance.randrange(12)}"}
        return {"survey": "nps", "score": chance.randint(0, 10), **who}

    def _attributes(self, account: str, group: str) -> Body:
        chance = self._chance
        changes = {
            "name": f"{account}, as of {self._made}",
            "owner": f"owner-{chance.randrange(5)}",
            "seats": chance.choice([None, 5, 20, 100]),
        }
        # Segments choose the scorecard, so only accounts whose score may go anywhere have one.
        if group == "mixed":
            changes["segment"] = chance.choice(_SEGMENTS)
        return {name: changes[name] for name in chance.sample(list(changes), 2)}

    def _poisoned(self, signal: Signal, account: str, group: str) -> Sent:
        kind = self._chance.choice([*_SPOILED, *([STAMPED_AHEAD] if signal in CREATE_TIME else [])])
        marks = ((POISON, kind.encode()),)
        if kind == STAMPED_AHEAD:
            good = msgspec.json.encode(self._event(signal, account, group))
            return Sent(signal, account.encode(), good, marks, round((self._start + _AHEAD).timestamp() * 1000))
        value = _SPOILED[kind](self._event(signal, account, group), self._start)
        return Sent(signal, account.encode(), value, marks)


def _without(event: Body, name: str) -> bytes:
    return msgspec.json.encode({key: value for key, value in event.items() if key != name})


def _with(event: Body, **changes: object) -> bytes:
    return msgspec.json.encode({**event, **changes})


_SPOILED: dict[str, Callable[[Body, datetime], bytes | None]] = {
    "broken JSON": lambda event, _: msgspec.json.encode(event)[:-7],
    "no subject": lambda event, _: _without(event, "subject"),
    "no data": lambda event, _: _without(event, "data"),
    "wrong type": lambda event, _: _with(event, data={**event["data"], "quantity": "three", "seats": "many"}),
    "ahead": lambda event, start: _with(event, time=(start + timedelta(days=30)).isoformat()),
    "too long": lambda event, _: _with(event, comment="x" * MAX_RECORD_BYTES),
    "empty": lambda _, __: b"",
}
POISONS = frozenset({*_SPOILED, STAMPED_AHEAD})
