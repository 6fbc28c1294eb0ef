"""Migrations 0024 and 0025 on a database in use: the state of usage moves beside the score, while the version before
folds, and afterwards that version goes on through a view.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from service.storage.database import migrate
from service.storage.database.engine import async_url
from service.storage.database.migrate import alembic_config, current, upgrade
from tests.support.paths import ROOT
from tests.support.postgres import PostgresServer

# The version before: how it folds an account that it has locked, and one that it has just created.
SAVE_USAGE = """
    INSERT INTO usage_states (account_id, state, newest_at, source)
    SELECT account_id, state, to_timestamp(nullif(newest_at, 0) / 1000000.0::float8), source
    FROM unnest(string_to_array(:ids, ','), CAST(:states AS bytea[]), CAST(:times AS bigint[]),
                CAST(:sources AS text[])) AS new (account_id, state, newest_at, source)
    ON CONFLICT (account_id) DO UPDATE
    SET state = excluded.state, newest_at = excluded.newest_at, source = excluded.source
"""
LOCK = "SELECT account_id FROM scores WHERE account_id = ANY(string_to_array(:ids, ',')) ORDER BY account_id FOR UPDATE"
UPDATE_SCORES = """
    UPDATE scores SET score = 71, band = 'green', day = '2026-03-02', since = '2026-03-02', due_at = '2026-03-03'
    WHERE account_id = ANY(string_to_array(:ids, ','))
"""
INSERT_SCORES = """
    INSERT INTO scores (account_id, score, band, coverage, readings, since, journal, day, scorecard, scorecard_version,
                        evaluated_at, due_at)
    SELECT account_id, 71, 'green', 1, '[1]', date '2026-03-02', NULL, date '2026-03-02', 'default', 1, now(),
           '2026-03-03'
    FROM unnest(string_to_array(:ids, ',')) AS account_id
"""
READ = """
    SELECT s.account_id, s.score, CAST(s.day AS text), u.state, u.source
    FROM scores s LEFT JOIN usage_states u USING (account_id)
    ORDER BY s.account_id
"""
LISTS = """
    SELECT account_id FROM scores
    WHERE band = 'green' AND quarter = 284 AND point = 71 AND settled = 71 AND slot IS NOT NULL ORDER BY account_id
"""
ALLOWED = "SELECT has_table_privilege('reader_of_states', 'usage_states', 'SELECT')"
ROOM = """
    SELECT DISTINCT reloptions FROM pg_class JOIN pg_inherits ON oid = inhrelid
    WHERE inhparent = 'scores'::regclass AND relkind = 'r'
"""


def on(url: str, work: Callable[[Connection], Any]) -> Any:
    async def run() -> Any:
        engine = create_async_engine(async_url(url), poolclass=NullPool)
        async with engine.begin() as connection:
            result = await connection.run_sync(work)
        await engine.dispose()
        return result

    return asyncio.run(run())


def execute(url: str, *statements: str) -> None:
    on(url, lambda connection: [connection.exec_driver_sql(statement) for statement in statements])


def go_to(url: str, revision: str) -> None:
    on(url, lambda connection: command.upgrade(alembic_config(connection), revision))


def go_back_to(url: str, revision: str) -> None:
    on(url, lambda connection: command.downgrade(alembic_config(connection), revision))


def fold_as_before(connection: Connection, ids: list[str], state: bytes, *, new: bool = False) -> None:
    """One batch of the version before: each account has the same state."""
    joined = ",".join(ids)
    if new:
        connection.execute(
            text("INSERT INTO accounts (account_id) SELECT unnest(string_to_array(:ids, ','))"), {"ids": joined}
        )
    else:
        connection.execute(text(LOCK), {"ids": joined})
    many = {"ids": joined, "states": [state] * len(ids), "times": [7] * len(ids), "sources": ["/app"] * len(ids)}
    connection.execute(text(SAVE_USAGE), many)
    connection.execute(text(INSERT_SCORES if new else UPDATE_SCORES), {"ids": joined})


def stored(url: str) -> dict[str, Any]:
    """Score, day, state and source by account, as the version before reads them."""
    return {row[0]: tuple(row[1:]) for row in on(url, lambda connection: connection.execute(text(READ)).all())}


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of the revision before, with accounts that have usage, and one that has none."""
    url = postgres_server.create_empty()
    go_to(url, "0023")
    on(url, lambda connection: fold_as_before(connection, ["a", "b", "c", "d"], b"first", new=True))
    execute(
        url, "INSERT INTO accounts (account_id) VALUES ('silent')", "INSERT INTO scores (account_id) VALUES ('silent')"
    )
    yield url
    postgres_server.drop(url)


FIRST, SECOND = (71, "2026-03-02", b"first", "/app"), (71, "2026-03-02", b"second", "/app")
SILENT = (None, None, None, None)


def prepare_moves(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Any], None]) -> None:
    """Call `prepare` with the module of each revision that moves rows, before it is used."""
    found_before = migrate._with_rows_to_move

    def find(found: str, revision: str) -> Any:
        scripts = found_before(found, revision)
        for script in scripts:
            prepare(script.module)
        return scripts

    monkeypatch.setattr(migrate, "_with_rows_to_move", find)


def test_an_interrupted_move_goes_on_and_misses_nothing_that_is_folded_meanwhile(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_after_one(module: Any) -> None:
        move, module.ROWS = module.move, 2

        def move_once(connection: Connection, after: str) -> Any:
            if after:
                raise KeyboardInterrupt
            return move(connection, after)

        module.move = move_once

    with monkeypatch.context() as patch:
        prepare_moves(patch, stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            upgrade(url)
    assert current(url) == "0024"
    moved = "SELECT account_id FROM scores WHERE usage IS NOT NULL ORDER BY 1"
    assert on(url, lambda connection: connection.exec_driver_sql(moved).scalars().all()) == ["a", "b"]

    # One that was moved, one that wasn't, and one that is new.
    on(url, lambda connection: fold_as_before(connection, ["a", "c"], b"second"))
    on(url, lambda connection: fold_as_before(connection, ["new"], b"second", new=True))
    expected = {"a": SECOND, "b": FIRST, "c": SECOND, "d": FIRST, "new": SECOND, "silent": SILENT}
    assert stored(url) == expected

    upgrade(url)
    assert stored(url) == expected


def test_progress_is_logged(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_moves(monkeypatch, lambda module: setattr(module, "ROWS", 3))
    monkeypatch.setattr(migrate, "PROGRESS_SECONDS", -1.0)
    with structlog.testing.capture_logs() as logs:
        upgrade(url)
    lines = [line for line in logs if line["event"] == "migration_progress"]
    assert [(line["revision"], line["moved"], line["rows"]) for line in lines] == [("0024", 3, 4), ("0024", 4, 4)]


def test_the_version_before_reads_folds_lists_and_erases_through_the_view(url: str) -> None:
    upgrade(url)
    on(url, lambda connection: fold_as_before(connection, ["b"], b"second"))
    on(url, lambda connection: fold_as_before(connection, ["new"], b"second", new=True))
    execute(url, "DELETE FROM usage_states WHERE account_id = 'c'", "DELETE FROM scores WHERE account_id = 'c'")
    assert stored(url) == {"a": FIRST, "b": SECOND, "d": FIRST, "new": SECOND, "silent": SILENT}
    assert on(url, lambda connection: connection.exec_driver_sql(LISTS).scalars().all()) == ["a", "b", "d", "new"]


def test_a_new_account_without_usage_is_inserted_by_either_version(url: str) -> None:
    upgrade(url)
    execute(url, "INSERT INTO accounts (account_id) VALUES ('tickets')")
    on(url, lambda connection: connection.execute(text(INSERT_SCORES), {"ids": "tickets"}))
    assert stored(url)["tickets"] == (71, "2026-03-02", None, None)


def test_going_back_keeps_all_states_and_views(url: str) -> None:
    view = "SELECT pg_get_viewdef('analytics.account_health'::regclass)"
    before = on(url, lambda connection: connection.exec_driver_sql(view).scalar_one())
    execute(url, "CREATE ROLE reader_of_states", "GRANT SELECT ON usage_states TO reader_of_states")
    try:
        for _ in range(2):
            upgrade(url)
            on(url, lambda connection: fold_as_before(connection, ["b"], b"second"))
            go_back_to(url, "0023")
            assert stored(url) == {"a": FIRST, "b": SECOND, "c": FIRST, "d": FIRST, "silent": SILENT}
            assert on(url, lambda connection: connection.exec_driver_sql(view).scalar_one()) == before
            assert on(url, lambda connection: connection.exec_driver_sql(ALLOWED).scalar_one())
    finally:
        execute(url, "DROP OWNED BY reader_of_states", "DROP ROLE reader_of_states")


def test_partitioned_tables_are_moved_too(url: str) -> None:
    script = (ROOT / "deploy" / "sql" / "partition_accounts.sql").read_text()
    execute(url, script.replace("'scores', 'accounts',", "'scores', 'accounts', 'usage_states',"))
    upgrade(url)
    on(url, lambda connection: fold_as_before(connection, ["b"], b"second"))
    on(url, lambda connection: fold_as_before(connection, ["new"], b"second", new=True))
    assert stored(url)["b"] == stored(url)["new"] == SECOND
    assert on(url, lambda c: c.exec_driver_sql(ROOM).scalars().all()) == [["fillfactor=50", "toast_tuple_target=4080"]]


def test_a_fold_leaves_the_indexes_of_scores_alone(url: str) -> None:
    upgrade(url)
    on(url, lambda connection: fold_as_before(connection, ["a"], b"second"))
    hot = "SELECT n_tup_hot_upd = n_tup_upd AND n_tup_upd > 0 FROM pg_stat_xact_user_tables WHERE relname = 'scores'"

    def fold_and_count(connection: Connection) -> Any:
        fold_as_before(connection, ["a"], b"third")
        return connection.exec_driver_sql(hot).scalar_one()

    assert on(url, fold_and_count)
