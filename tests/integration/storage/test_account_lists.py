"""Lists of accounts against plain sorting and filtering in Python: any filters, any order, any page size, and scores
that move between pages.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, get_args

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.calendar import day_of, to_micros
from scoring.state.events import AttributesEvent
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy
from service.storage.accounts.account_filter import BANDS, AccountFilter
from service.storage.accounts.accounts import AccountRecord
from service.storage.accounts.listing import index_scans, planner
from service.storage.accounts.listing import page as account_listing
from service.storage.accounts.listing.index_columns import quarter_of, slot_of
from service.storage.accounts.listing.list_query import ListQuery, ScanResult
from service.storage.accounts.listing.page import Sort
from service.storage.accounts.listing.planner import Planner, ScannedPage
from service.storage.accounts.listing.sort_order import PageKey, SortColumn, SortOrder
from service.storage.database.engine import create_engine
from service.storage.database.tables import accounts, scores
from tests.support.postgres import PostgresServer
from tests.support.service import query, settings_for

pytestmark = pytest.mark.anyio

ACCOUNTS = 3_000
TODAY = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
SEGMENTS = ["self-serve"] * 70 + ["smb"] * 20 + ["mid-market"] * 7 + ["enterprise"] * 2 + ["strategic"]
STAGES = ["onboarding", "live", "live", "live", "renewal"]
SORTS: tuple[Sort, ...] = get_args(Sort)


def a_score(random: Random) -> float | None:
    """Scores: some missing, many shared, whole or not, and the rest spread out."""
    return random.choice([None, 0.0, 100.0, 35.0, 18.75, 18.75, *(random.uniform(0, 100) for _ in range(6))])


def an_evaluation(random: Random) -> datetime | None:
    """Half of them within three minutes of midnight, a few never."""
    if random.random() < 0.02:
        return None
    return MIDNIGHT + timedelta(seconds=random.choice([random.uniform(0, 180), random.uniform(0, 36_000)]))


def scored(random: Random) -> dict[str, Any]:
    score = a_score(random)
    level = "unknown" if score is None else "red" if score < 40 else "yellow" if score < 70 else "green"
    return {
        "score": score,
        "band": level if random.random() < 0.9 else random.choice(BANDS),
        "day": TODAY,
        "since": TODAY - timedelta(days=random.choice([0, 0, 5])),
        "evaluated_at": an_evaluation(random),
    }


@pytest.fixture(scope="module")
async def filled(postgres_server: PostgresServer) -> AsyncIterator[AsyncEngine]:
    """A database with accounts that tests of this module only read."""
    url = await asyncio.to_thread(postgres_server.create_migrated)
    engine = create_engine(settings_for(url, "127.0.0.1:1", ""), "test")
    random = Random(1)
    names = [f"{random.choice('abcAü/')}{number}" for number in range(ACCOUNTS)]
    attributes = [
        {
            "account_id": name,
            "segment": random.choice([None, *SEGMENTS]),
            "stage": random.choice(STAGES),
            "owner": f"owner-{min(int(random.paretovariate(0.5)), 40)}",
            "churned_on": random.choice([None, None, TODAY, TODAY + timedelta(days=1), TODAY - timedelta(days=400)]),
        }
        for name in names
    ]
    async with engine.begin() as connection:
        await connection.execute(accounts.insert(), attributes)
        await connection.execute(scores.insert(), [{**beside(each), **scored(random)} for each in attributes])
    yield engine
    await engine.dispose()
    await asyncio.to_thread(postgres_server.drop, url)


TODAY = date(2026, 3, 2)


def beside(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of an account in a row of scores."""
    return {name: attributes[name] for name in ("account_id", "segment", "stage", "owner")}


@pytest.fixture(params=["as it is", "short stretches", "all at once"])
def stretches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So few candidates at a time that a few thousand accounts exercise every plan."""
    if request.param == "short stretches":
        monkeypatch.setattr(planner, "FIRST_SCAN_ROWS", 3)
        monkeypatch.setattr(planner, "FIRST_SCAN_ROWS_BY_TIME", 3)
        monkeypatch.setattr(planner, "CANDIDATE_COST", 0.001)
        monkeypatch.setattr(planner, "ENTRY_COST", 0.0)
        monkeypatch.setattr(planner, "LONG_LIST_ROWS", 6)
        monkeypatch.setattr(planner, "SCAN_MARGIN", 0.01)
        monkeypatch.setattr(planner, "CHEAP_FULL_MATCH_COST", 0)
    if request.param == "all at once":
        monkeypatch.setattr(planner, "CHEAP_FULL_MATCH_COST", 1_000_000)


async def page(
    engine: AsyncEngine, wanted: AccountFilter, sort: Sort, after: PageKey | None, limit: int
) -> tuple[Sequence[AccountRecord], PageKey | None, SortOrder]:
    """A page, the key of the next one, and the order it is in."""
    async with engine.connect() as connection:
        found = await account_listing.page(connection, wanted, sort=sort, after=after, limit=limit)
    return found.accounts, found.key_of(found.accounts[-1]) if found.accounts else None, found.order


async def everything(engine: AsyncEngine) -> list[AccountRecord]:
    """All accounts, read without any of the code under test."""
    rows = await query(
        engine,
        "SELECT a.account_id, name, a.segment, a.stage, a.owner, seats, arr, started_on, renews_on,"
        " churned_on, parent_id, created_at, score, band, coverage, day, evaluated_at"
        " FROM accounts a JOIN scores USING (account_id)",
    )
    return [AccountRecord(*tuple(row)) for row in rows]


def value_of(account: AccountRecord, order: SortOrder) -> Any:
    if order.column == "slot":
        return account.evaluated_at and slot_of(account.evaluated_at)
    return getattr(account, order.column)


def in_order(all_accounts: Iterable[AccountRecord], order: SortOrder) -> list[str]:
    """The ids as `order` has them, by Python's sort."""
    by_id = sorted(all_accounts, key=lambda account: account.account_id)
    having = [account for account in by_id if value_of(account, order) is not None]
    having.sort(key=lambda account: value_of(account, order), reverse=order.descending)
    return [account.account_id for account in [*having, *(each for each in by_id if value_of(each, order) is None)]]


def matches(account: AccountRecord, wanted: AccountFilter) -> bool:
    """True if an account matches, in the plainest terms."""
    of_words = (
        (wanted.bands, account.band),
        (wanted.segments, account.segment),
        (wanted.stages, account.stage),
        (wanted.owners, account.owner),
    )
    if any(values is not None and word not in values for values, word in of_words):
        return False
    excluded = (
        (wanted.exclude_segments, account.segment),
        (wanted.exclude_stages, account.stage),
        (wanted.exclude_owners, account.owner),
    )
    if any(values is not None and word in values for values, word in excluded):
        return False
    has_churned = account.churned_on is not None and account.churned_on <= TODAY
    if wanted.churned is not None and has_churned != wanted.churned:
        return False
    if wanted.min_score is not None and (account.score is None or account.score < wanted.min_score):
        return False
    if wanted.max_score is not None and (account.score is None or account.score > wanted.max_score):
        return False
    since = wanted.evaluated_since
    return since is None or (account.evaluated_at is not None and account.evaluated_at >= since)


def a_filter(random: Random) -> AccountFilter:
    """Mostly one or two conditions; some match nothing."""
    share = random.choice([0.1, 0.3, 0.6])

    def maybe(value: Any) -> Any:
        return value if random.random() < share else None

    low, high = random.choice([(0, 100), (18.75, 18.75), (35, 60.5), (99.9, 100), (0, 0), (80, 20)])
    return AccountFilter(
        bands=maybe(random.choices(BANDS, k=random.choice([1, 1, 2, 4]))),
        segments=maybe(
            random.choices(["self-serve", "smb", "enterprise", "strategic", "none"], k=random.choice([1, 2]))
        ),
        stages=maybe([random.choice(STAGES)]),
        owners=maybe([f"owner-{random.choice([1, 2, 30, 40, 41])}" for _ in range(random.choice([1, 3]))]),
        exclude_segments=maybe(random.choices(["self-serve", "smb", "none"], k=random.choice([1, 2]))),
        exclude_stages=maybe([random.choice(STAGES)]),
        exclude_owners=maybe(["owner-1"]),
        churned=maybe(random.random() < 0.5),
        today=TODAY,
        min_score=maybe(low),
        max_score=maybe(high),
        evaluated_since=maybe(MIDNIGHT + timedelta(seconds=random.choice([-1, 60, 200, 20_000, 35_000, 50_000]))),
    )


@pytest.mark.usefixtures("stretches")
@pytest.mark.parametrize("seed", range(3))
async def test_pages_are_what_plain_sorting_gives(filled: AsyncEngine, seed: int) -> None:
    random = Random(seed)
    known = await everything(filled)
    for _ in range(25):
        wanted, sort = a_filter(random), random.choice(SORTS)
        limit = random.choice([7, 100, 1001])
        after: PageKey | None = None
        found: list[str] = []
        for _ in range(4):
            listed, after, order = await page(filled, wanted, sort, after, limit)
            found += [account.account_id for account in listed]
            expected = in_order((account for account in known if matches(account, wanted)), order)
            assert found == expected[: len(found)], (wanted, sort, limit)
            if len(listed) < limit:
                assert len(found) == len(expected), (wanted, sort, limit)
                break


@pytest.mark.usefixtures("stretches")
@pytest.mark.parametrize("sort", SORTS)
async def test_every_account_comes_once_in_pages_that_end_anywhere(filled: AsyncEngine, sort: Sort) -> None:
    after: PageKey | None = None
    found: list[str] = []
    for limit in (1, 2, 500, 37, *[411] * 10):
        listed, after, order = await page(filled, AccountFilter(), sort, after, limit)
        found += [account.account_id for account in listed]
        if len(listed) < limit:
            break
    assert found == in_order(await everything(filled), order)


async def test_by_time_short_lists_are_exact_and_long_ones_go_by_slot(filled: AsyncEngine) -> None:
    *_, short = await page(filled, AccountFilter(segments=["strategic"]), "-evaluated_at", None, 100)
    *_, long = await page(filled, AccountFilter(), "-evaluated_at", None, 100)
    assert (short.column, long.column) == ("evaluated_at", "slot")


@pytest.mark.usefixtures("stretches")
@pytest.mark.parametrize("sort", ["score", "-score", "evaluated_at", "-evaluated_at"])
async def test_what_does_not_move_is_listed_once_while_others_move(
    database_url: str, engine: AsyncEngine, sort: Sort
) -> None:
    random = Random(7)
    names = [f"account-{number}" for number in range(700)]
    movers = names[::2]
    async with engine.begin() as connection:
        await connection.execute(accounts.insert(), [{"account_id": name} for name in names])
        await connection.execute(scores.insert(), [{"account_id": name, **scored(random)} for name in names])
    still = [account for account in await everything(engine) if account.account_id not in movers]
    found: list[str] = []
    after: PageKey | None = None
    while True:
        listed, after, order = await page(engine, AccountFilter(), sort, after, 50)
        found += [account.account_id for account in listed]
        if len(listed) < 50:
            break
        async with engine.begin() as connection:
            for name in random.sample(movers, 60):
                await connection.execute(
                    scores.update().where(scores.c.account_id == name).values(scored(random) | {"since": TODAY})
                )
    assert [name for name in found if name not in movers] == in_order(still, order)
    moved_away = [account for account in await everything(engine) if account.account_id in found]
    assert len(moved_away) == len(set(found))


@pytest.mark.parametrize("sort", ["score", "-score"])
async def test_what_does_not_move_is_listed_once_while_others_move_within_a_page(
    database_url: str, engine: AsyncEngine, sort: Sort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of several scans: an account found in one may be found again in the next."""
    random = Random(8)
    names = [f"account-{number}" for number in range(500)]
    movers = names[::2]
    attributes = [{"account_id": name, "segment": random.choice("ab"), "stage": None, "owner": None} for name in names]
    async with engine.begin() as connection:
        await connection.execute(accounts.insert(), attributes)
        await connection.execute(scores.insert(), [{**beside(each), **scored(random)} for each in attributes])
    look = ListQuery.scan

    async def look_and_move(*arguments: Any) -> ScanResult:
        stop = await look(*arguments)
        async with engine.begin() as connection:
            for name in random.sample(movers, 60):
                await connection.execute(
                    scores.update().where(scores.c.account_id == name).values(scored(random) | {"since": TODAY})
                )
        return stop

    monkeypatch.setattr(ListQuery, "scan", look_and_move)
    short_then_long = {
        "FIRST_SCAN_ROWS": 3,
        "SCAN_MARGIN": 0.01,
        "_next_scan_rows": lambda *_: 150,
        "CANDIDATE_COST": 0.001,
        "CHEAP_FULL_MATCH_COST": 0,
    }
    for name, value in short_then_long.items():
        monkeypatch.setattr(planner, name, value)
    wanted = AccountFilter(segments=["a"])
    still = [each for each in await everything(engine) if each.account_id not in movers and matches(each, wanted)]
    found: list[str] = []
    after: PageKey | None = None
    while True:
        listed, after, order = await page(engine, wanted, sort, after, 40)
        found += [account.account_id for account in listed]
        if len(listed) < 40:
            break
    assert [name for name in found if name not in movers] == in_order(still, order)


async def test_the_nightly_sweep_is_news_until_the_database_has_counted(
    database_url: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all accounts would be fetched for one page, in the belief that they are few."""
    monkeypatch.setattr(planner, "STALE_STATISTICS_ROWS", 100)
    names = [f"account-{number}" for number in range(400)]
    async with engine.begin() as connection:
        await connection.execute(accounts.insert(), [{"account_id": name} for name in names])
        await connection.execute(
            scores.insert(), [{"account_id": name, "evaluated_at": MIDNIGHT - timedelta(days=1)} for name in names]
        )
        await connection.execute(text("ANALYZE scores"))
        await connection.execute(scores.update().values(evaluated_at=MIDNIGHT + timedelta(seconds=1)))
        search = ListQuery(AccountFilter(evaluated_since=MIDNIGHT), SortOrder("score", True), None, 10)
        assert await Planner(connection, search)._statistics_are_stale()
        await connection.execute(text("ANALYZE scores"))
        assert not await Planner(connection, search)._statistics_are_stale()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("column", ["account_id", "score"])
async def test_a_page_after_the_nightly_sweep_is_scanned(
    database_url: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, column: SortColumn, descending: bool
) -> None:
    """By statistics of the day before, next to nothing matches, and all of it would be fetched."""
    monkeypatch.setattr(planner, "STALE_STATISTICS_ROWS", 100)
    names = [f"account-{number:04d}" for number in range(2_000)]
    async with engine.begin() as connection:
        await connection.execute(accounts.insert(), [{"account_id": name} for name in names])
        before = [{"account_id": name, "score": 50, "evaluated_at": MIDNIGHT - timedelta(days=1)} for name in names]
        await connection.execute(scores.insert(), before)
        await connection.execute(text("ANALYZE scores"))
        await connection.execute(scores.update().values(evaluated_at=MIDNIGHT + timedelta(seconds=1)))
        order = SortOrder(column, descending)
        search = ListQuery(AccountFilter(evaluated_since=MIDNIGHT), order, None, 10)
        found = await Planner(connection, search).scan_index()
    assert isinstance(found, ScannedPage)
    first = names[-1:-11:-1] if order == SortOrder("account_id", True) else names[:10]
    assert [each.account_id for each in found.accounts] == first


@pytest.mark.usefixtures("stretches")
async def test_a_list_may_go_on_behind_a_time_before_its_first(filled: AsyncEngine) -> None:
    wanted = AccountFilter(evaluated_since=MIDNIGHT + timedelta(seconds=150))
    before: PageKey = (MIDNIGHT, "c", False)
    listed, _, order = await page(filled, wanted, "evaluated_at", before, 50)
    everyone = await everything(filled)
    assert [each.account_id for each in listed] == in_order((a for a in everyone if matches(a, wanted)), order)[:50]


async def test_those_never_evaluated_come_last_and_once(
    database_url: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "CHEAP_FULL_MATCH_COST",
        "LONG_LIST_ROWS",
        "CANDIDATE_COST",
        "ENTRY_COST",
    ):  # so that a list this short goes through the index
        monkeypatch.setattr(planner, name, 0.001)
    names = [f"account-{number:03d}" for number in range(200)]
    async with engine.begin() as connection:
        await connection.execute(accounts.insert(), [{"account_id": name, "segment": "smb"} for name in names])
        rows = [
            {"account_id": name, "segment": "smb", "evaluated_at": MIDNIGHT if number < 10 else None}
            for number, name in enumerate(names)
        ]
        await connection.execute(scores.insert(), rows)
        await connection.execute(text("ANALYZE scores"))
    found: list[str] = []
    after: PageKey | None = None
    while len(found) < len(names):
        listed, after, _ = await page(engine, AccountFilter(segments=["smb"]), "evaluated_at", after, 50)
        assert listed
        found += [account.account_id for account in listed]
    assert found == names


def test_a_list_since_a_time_is_not_looked_for_from_the_beginning() -> None:
    """Postgres would start at whatever the row is compared with, and read all entries up to the bound."""
    first = index_scans.by_slot(
        descending=False, started=False, bound="slot >= :slot_since", attributes=["owner = :owner"], never=False
    )
    assert "infinity" not in first
    assert "slot >= :slot_since AND owner = :owner" in first


async def test_the_database_agrees_on_slots(filled: AsyncEngine) -> None:
    for row in await query(filled, "SELECT evaluated_at, slot FROM scores WHERE evaluated_at IS NOT NULL LIMIT 500"):
        assert row.slot == slot_of(row.evaluated_at)


async def test_the_database_agrees_on_quarters(filled: AsyncEngine) -> None:
    for row in await query(filled, "SELECT score, quarter FROM scores WHERE score IS NOT NULL LIMIT 500"):
        assert row.quarter == quarter_of(row.score)


@pytest.mark.parametrize(("sort", "beyond"), [("score", 1e308), ("score", -3.0), ("-score", 1e308), ("-score", -3.0)])
async def test_a_list_may_go_on_behind_what_no_score_can_be(filled: AsyncEngine, sort: Sort, beyond: float) -> None:
    listed, *_ = await page(filled, AccountFilter(), sort, (beyond, "c"), 50)
    everyone = await everything(filled)
    if (beyond > 0) == (sort == "score"):
        everyone = [account for account in everyone if account.score is None]
    assert [each.account_id for each in listed] == in_order(everyone, SortOrder("score", sort == "-score"))[:50]


async def test_attributes_stand_beside_the_score_from_the_first_event_on(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        policy = await load_policy(connection, 400)
    steps: list[dict[str, str | int | None]] = [
        {"segment": "smb"},
        {"stage": "live", "owner": "ann"},
        {"owner": "bob"},
        {"segment": None},
        {"seats": 4},
    ]
    for number, values in enumerate(steps):
        at = to_micros(MIDNIGHT) + number
        event = AttributesEvent("acme", at, day_of(at), str(number), values)
        async with engine.begin() as connection:
            await advance_accounts(connection, Inputs({"acme": [event]}), policy, MIDNIGHT, base_url="")
        beside, own = [
            await query(engine, f"SELECT segment, stage, owner FROM {table}") for table in ("scores", "accounts")
        ]
        assert beside == own
    assert tuple(own[0]) == (None, "live", "bob")
