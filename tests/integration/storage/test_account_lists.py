"""Lists of accounts against plain sorting and filtering in Python: any filters, any order, any page size, and scores
that move between pages.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, get_args

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.accounts.account_filter import BANDS, AccountFilter
from service.storage.accounts.accounts import AccountRecord
from service.storage.accounts.listing import page as account_listing
from service.storage.accounts.listing.list_query import PageKey
from service.storage.accounts.listing.page import ListedPage, Sort, in_shown_order
from service.storage.database.engine import create_engine
from service.storage.database.tables import accounts, listed_accounts, scores
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


def a_change(random: Random) -> datetime:
    """Half of them within three minutes of midnight; many at once, as a batch changes them."""
    seconds = random.choice([random.uniform(0, 180), random.uniform(0, 36_000)])
    return MIDNIGHT + timedelta(seconds=random.choice([seconds, round(seconds, -1)]))


def changed(random: Random) -> dict[str, Any]:
    score = a_score(random)
    level = "unknown" if score is None else "red" if score < 40 else "yellow" if score < 70 else "green"
    band = level if random.random() < 0.9 else random.choice(BANDS)
    return {"score": score, "band": band, "changed_at": a_change(random)}


async def save(engine: AsyncEngine, rows: list[dict[str, Any]]) -> None:
    """Save accounts with the attributes given, and the same score in both tables."""
    words = ("account_id", "segment", "stage", "owner", "churned_on")
    shown = ("account_id", "score", "band")
    columns = (*shown, "segment", "stage", "owner", "changed_at")
    async with engine.begin() as connection:
        await connection.execute(accounts.insert(), [{name: row.get(name) for name in words} for row in rows])
        await connection.execute(scores.insert(), [{name: row[name] for name in shown} for row in rows])
        await connection.execute(listed_accounts.insert(), [{name: row.get(name) for name in columns} for row in rows])


@pytest.fixture(scope="module")
async def filled(postgres_server: PostgresServer) -> AsyncIterator[AsyncEngine]:
    """A database with accounts that tests of this module only read."""
    url = await asyncio.to_thread(postgres_server.create_migrated)
    engine = create_engine(settings_for(url, "127.0.0.1:1", ""), "test")
    random = Random(1)
    rows = [
        {
            "account_id": f"{random.choice('abcAü/')}{number}",
            "segment": random.choice([None, *SEGMENTS]),
            "stage": random.choice(STAGES),
            "owner": f"owner-{min(int(random.paretovariate(0.5)), 40)}",
            "churned_on": random.choice([None, None, TODAY, TODAY + timedelta(days=1), TODAY - timedelta(days=400)]),
            **changed(random),
        }
        for number in range(ACCOUNTS)
    ]
    await save(engine, rows)
    yield engine
    await engine.dispose()
    await asyncio.to_thread(postgres_server.drop, url)


@pytest.fixture(params=["as it is", "none few", "all few"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to read a page, whatever the filter."""
    if request.param != "as it is":
        monkeypatch.setattr(account_listing, "FEW", -1 if request.param == "none few" else ACCOUNTS)


async def page(engine: AsyncEngine, wanted: AccountFilter, sort: Sort, after: PageKey | None, size: int) -> ListedPage:
    async with engine.connect() as connection:
        return await account_listing.page(connection, wanted, sort=sort, after=after, size=size)


async def whole_list(engine: AsyncEngine, wanted: AccountFilter, sort: Sort, size: int) -> list[str]:
    """The ids of all pages, one after the other."""
    found, after = await page(engine, wanted, sort, None, size)
    while after is not None:
        more, after = await page(engine, wanted, sort, after, size)
        assert len(more) == size or after is None
        found += more
    return [account.account_id for account in found]


async def everything(engine: AsyncEngine) -> list[AccountRecord]:
    """All accounts as they are listed, read without any of the code under test."""
    rows = await query(
        engine,
        "SELECT a.account_id, name, a.segment, a.stage, a.owner, seats, arr, started_on, renews_on,"
        " churned_on, parent_id, created_at, l.score, l.band, coverage, day, evaluated_at, l.changed_at"
        " FROM accounts a JOIN scores USING (account_id) JOIN listed_accounts l USING (account_id)",
    )
    return [AccountRecord(*tuple(row)) for row in rows]


def in_order(all_accounts: Iterable[AccountRecord], sort: Sort) -> list[str]:
    """The ids as `sort` has them, by Python's."""
    column, descending = sort.removeprefix("-"), sort.startswith("-")
    found = sorted(all_accounts, key=lambda account: account.account_id, reverse=descending)
    having = [account for account in found if getattr(account, column) is not None]
    having.sort(key=lambda account: getattr(account, column), reverse=descending)
    return [account.account_id for account in [*having, *(each for each in found if getattr(each, column) is None)]]


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
    return wanted.changed_since is None or account.changed_at >= wanted.changed_since


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
        changed_since=maybe(MIDNIGHT + timedelta(seconds=random.choice([-1, 60, 200, 20_000, 35_000, 50_000]))),
    )


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("seed", range(3))
async def test_pages_are_what_plain_sorting_gives(filled: AsyncEngine, seed: int) -> None:
    random = Random(seed)
    everyone = await everything(filled)
    for _ in range(40):
        wanted, sort = a_filter(random), random.choice(SORTS)
        expected = in_order((account for account in everyone if matches(account, wanted)), sort)
        size = random.choice([1 + len(expected) // 5, 1 + len(expected) // 2, 400])
        assert await whole_list(filled, wanted, sort, size) == expected, (wanted, sort, size)


@pytest.mark.parametrize("sort", SORTS)
async def test_every_account_comes_once_in_pages_that_end_anywhere(filled: AsyncEngine, sort: Sort) -> None:
    after: PageKey | None = None
    found: list[str] = []
    for size in (1, 2, 500, 37, *[411] * 10):
        listed, after = await page(filled, AccountFilter(), sort, after, size)
        found += [account.account_id for account in listed]
        if after is None:
            break
    assert found == in_order(await everything(filled), sort)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("wanted", [AccountFilter(), AccountFilter(segments=["a"])])
@pytest.mark.parametrize("sort", ["score", "-score", "changed_at", "-changed_at"])
async def test_what_does_not_move_is_listed_once_while_others_move(
    database_url: str, engine: AsyncEngine, sort: Sort, wanted: AccountFilter
) -> None:
    random = Random(7)
    names = [f"account-{number}" for number in range(700)]
    movers = names[::2]
    await save(engine, [{"account_id": name, "segment": random.choice("ab"), **changed(random)} for name in names])
    still = [each for each in await everything(engine) if each.account_id not in movers and matches(each, wanted)]
    found: list[str] = []
    after: PageKey | None = None
    while True:
        listed, after = await page(engine, wanted, sort, after, 50)
        ids = [account.account_id for account in listed]
        assert len(set(ids)) == len(ids)
        found += ids
        if after is None:
            break
        async with engine.begin() as connection:
            for name in random.sample(movers, 60):
                of_mover = listed_accounts.update().where(listed_accounts.c.account_id == name)
                await connection.execute(of_mover.values(changed(random)))
    assert [name for name in found if name not in movers] == in_order(still, sort)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("sort", "beyond"), [("score", 1e308), ("score", -3.0), ("-score", 1e308), ("-score", -3.0)])
async def test_a_list_may_go_on_behind_what_no_score_can_be(filled: AsyncEngine, sort: Sort, beyond: float) -> None:
    everyone = await everything(filled)
    for wanted in (AccountFilter(), AccountFilter(min_score=20, max_score=60)):
        listed, _ = await page(filled, wanted, sort, (beyond, "c"), 50)
        such = [account for account in everyone if matches(account, wanted)]
        if (beyond > 0) == (sort == "score"):
            such = [account for account in such if account.score is None]
        assert [each.account_id for each in listed] == in_order(such, sort)[:50]


@pytest.mark.usefixtures("few")
async def test_a_list_may_go_on_behind_a_time_before_its_first(filled: AsyncEngine) -> None:
    wanted = AccountFilter(changed_since=MIDNIGHT + timedelta(seconds=150))
    listed, _ = await page(filled, wanted, "changed_at", (MIDNIGHT, "c"), 50)
    everyone = await everything(filled)
    assert [each.account_id for each in listed] == in_order((a for a in everyone if matches(a, wanted)), "changed_at")[
        :50
    ]


async def test_a_page_by_score_is_sorted_by_what_it_shows(filled: AsyncEngine) -> None:
    """Within a tenth of a point, that may be another order than that of the rows."""
    (account, *_), _ = await page(filled, AccountFilter(), "score", None, 1)
    shown = [
        replace(account, account_id=name, score=score)
        for name, score in zip("abcd", (40.05, 40.0, 40.05, None), strict=True)
    ]

    def order(sort: Sort) -> str:
        return "".join(each.account_id for each in in_shown_order(shown, sort))

    assert [order(sort) for sort in ("score", "-score", "changed_at")] == ["bacd", "acbd", "abcd"]
