"""The demo's customers scored by the scoring core alone: no broker, no database."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from scoring.advance import advance
from scoring.history.day_by_day import evaluate_now
from scoring.rules.policy import Policy
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import Evaluation, compile_scorecard
from scoring.scorecards.selection import in_order
from scoring.state.account_state import AccountState
from scoring.state.calendar import to_micros
from service.demo.world.customers import Customer, make_customers
from service.demo.world.events import DemoEvent
from service.demo.world.history import HISTORY_DAYS, happened, introductions
from service.evaluation.policy import starter
from service.messaging.cloudevents import decode_structured

SEED = 7
POLICY = Policy(in_order([compile_scorecard(parse(starter("default"), 92), 1)]))


class World:
    """Customers with their history, which can live on."""

    def __init__(self, accounts: int, now: datetime) -> None:
        """Everything up to `now`, the demo's first day, has happened."""
        self.customers = make_customers(accounts, SEED, now.date())
        self.evaluations: dict[str, Evaluation] = {}
        self._states: dict[str, AccountState] = defaultdict(AccountState)
        since = now - timedelta(days=HISTORY_DAYS)
        self.fold([*introductions(self.customers, now), *happened(self.customers, SEED, now.date(), since, now)], now)

    @property
    def scores(self) -> dict[str, float | None]:
        """Score by account id."""
        return {account_id: evaluation.score for account_id, evaluation in self.evaluations.items()}

    def score(self, customer: Customer) -> float | None:
        """A customer's score."""
        return self.evaluations[customer.id].score

    def judge(self, now: datetime) -> None:
        """Score everybody at `now`, with or without events."""
        for account_id, state in self._states.items():
            self.evaluations[account_id] = evaluate_now(state, POLICY, to_micros(now))

    def fold(self, events: Iterable[DemoEvent], now: datetime) -> None:
        """Fold events as the service would see them: encoded, decoded, folded, scored at `now`."""
        micros = to_micros(now)
        by_account = defaultdict(list)
        for event in events:
            by_account[event.account_id].append(decode_structured(event.signal, event.encode(), micros).event)
        for account_id, found in by_account.items():
            step = advance(self._states[account_id], None, {}, found, POLICY, micros)
            assert not step.late
            self.evaluations[account_id] = step.evaluation
