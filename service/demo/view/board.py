"""The board for the viewer: the state of all accounts and the latest changes, read from the API and from Postgres."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import aiohttp
from sqlalchemy.ext.asyncio import AsyncEngine

from service.demo.api_client import AccountScore, ApiClient
from service.demo.feed.broker_log import folded_offsets
from service.demo.webhook_receiver import Received
from service.demo.world.customers import MOST_CUSTOMERS
from service.runtime.errors import HealthError

WORTH_TELLING = 1.0
"""The points by which a score must move to be reported."""
KEPT = 50
RATE_SECONDS = 5.0
NOTICE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class BoardChange:
    """A change of a score."""

    at: datetime
    name: str
    before: float
    after: float
    band: str


class Board:
    """Collects the contents of the screens. It keeps the latest changes and webhooks, and counts all."""

    def __init__(self) -> None:
        """Start empty, and start the clock of rate and uptime."""
        self.scores: dict[str, float | None] = {}
        self.bands: Counter[str] = Counter()
        self.changes: deque[BoardChange] = deque(maxlen=KEPT)
        self.webhooks: deque[Received] = deque(maxlen=KEPT)
        self.webhooks_received = 0
        self.changes_seen = 0
        self.folded = 0
        self._notice = ""
        self._noticed_at = 0.0
        self._began = time.monotonic()
        self._reported: dict[str, float] = {}
        self._samples: deque[tuple[float, int]] = deque()

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @property
    def notice(self) -> str:
        """The latest trouble, if there was any recently."""
        return self._notice if time.monotonic() - self._noticed_at < NOTICE_SECONDS else ""

    @property
    def rate(self) -> float:
        """Events folded a second, over the last while."""
        if len(self._samples) < 2:
            return 0.0
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_at - first_at)

    def tell(self, notice: str) -> None:
        """Report trouble, which is shown for a while."""
        self._notice = notice
        self._noticed_at = time.monotonic()

    def add_folded(self, count: int) -> None:
        """Note that `count` events are folded in all."""
        now = time.monotonic()
        self.folded = count
        self._samples.append((now, count))
        while now - self._samples[0][0] > RATE_SECONDS:
            self._samples.popleft()

    def add_accounts(self, accounts: Iterable[AccountScore], at: datetime) -> None:
        """Take the current state of the accounts."""
        accounts = list(accounts)
        self.scores = {account.account_id: account.score for account in accounts}
        self.bands = Counter(account.band for account in accounts)
        for account in accounts:
            self._notice_change(account, at)

    def add_webhook(self, webhook: Received) -> None:
        """Note a webhook that arrived."""
        self.webhooks_received += 1
        self.webhooks.append(webhook)

    def _notice_change(self, account: AccountScore, at: datetime) -> None:
        if account.score is None:
            return
        before = self._reported.setdefault(account.account_id, account.score)
        if abs(account.score - before) >= WORTH_TELLING:
            self._reported[account.account_id] = account.score
            self.changes_seen += 1
            name = account.name or account.account_id
            self.changes.append(BoardChange(at, name, before, account.score, account.band))


LOOK_SECONDS = 1.0


async def watch_accounts(client: ApiClient, board: Board) -> None:
    """Read all scores every second, until cancelled."""
    while True:
        try:
            accounts = await client.accounts(MOST_CUSTOMERS)
        except (aiohttp.ClientError, TimeoutError):
            board.tell("The API does not answer")
        except HealthError as error:
            board.tell(str(error))
        else:
            board.add_accounts(accounts, datetime.now().astimezone())
        await asyncio.sleep(LOOK_SECONDS)


async def watch_folding(engine: AsyncEngine, board: Board) -> None:
    """Read the number of folded events every second, until cancelled."""
    while True:
        board.add_folded(sum((await folded_offsets(engine)).values()))
        await asyncio.sleep(LOOK_SECONDS)
