"""Files of outcomes: CSV and Parquet say the same, and a fault is named by file, row and field, with its remedy."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.backtest.outcomes import Outcome
from scoring.state.calendar import to_day_text
from service.jobs.backtest.outcome_file import read_outcomes
from service.runtime.errors import HealthError

HEADER = "account_id,date,churned\n"
GOOD = HEADER + "acme,2024-03-01,false\nzeta,2024-03-02,true\n"
EXPECTED = [
    Outcome("acme", to_day_text("2024-03-01"), churned=False),
    Outcome("zeta", to_day_text("2024-03-02"), churned=True),
]


def csv_file(folder: Path, text: str | bytes) -> Path:
    path = folder / "outcomes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def parquet_file(folder: Path, **columns: Any) -> Path:
    path = folder / "outcomes.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(HealthError) as refused:
        read_outcomes(path)
    assert refused.value.remedy, refused.value
    return str(refused.value).replace(str(path), "FILE")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\ufeff" + GOOD.replace("\n", "\r\n"),
        "churned,note,date,account_id\nFalse,,2024-03-01,acme\nTRUE,x,2024-03-02,zeta\n",
        GOOD + "\nacme,2024-03-01,false\n",
    ],
    ids=["plain", "a spreadsheet's", "columns in another order, and one more", "a row twice, and an empty line"],
)
def test_csv(tmp_path: Path, text: str) -> None:
    assert read_outcomes(csv_file(tmp_path, text)) == EXPECTED


NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "days",
    [
        pa.array(["2024-03-01", "2024-03-02"]),
        pa.array([dt.date(2024, 3, 1), dt.date(2024, 3, 2)]),
        pa.array([NOON, NOON + dt.timedelta(days=1)], pa.timestamp("ns", "UTC")),
        pa.array([dt.datetime(2024, 3, 1), dt.datetime(2024, 3, 2)], pa.timestamp("ns")),  # noqa: DTZ001 # as pandas writes days
    ],
    ids=["text", "date", "timestamp with a zone", "timestamp without one"],
)
def test_parquet(tmp_path: Path, days: pa.Array) -> None:
    assert read_outcomes(parquet_file(tmp_path, account_id=["acme", "zeta"], date=days, churned=[False, True])) == (
        EXPECTED
    )


def test_whole_numbers_are_account_ids_too(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, account_id=[7, 12], date=["2024-03-01", "2024-03-02"], churned=["false", "true"])
    assert [outcome.account_id for outcome in read_outcomes(path)] == ["7", "12"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "FILE is empty. Give a header, account_id,date,churned"),
        ("account_id,day,churned\na,2024-03-01,true\n", "FILE has no column date: it has account_id, day, churned."),
        ("account_id,date,churned,date\n", "FILE has more than one column date"),
        (HEADER, "FILE holds no outcomes"),
        (HEADER + "acme,2024-03-01,false\nzeta,2024-02-30,true\n", "FILE row 3: date is '2024-02-30'. Write a day"),
        (HEADER + "acme,01.03.2024,false\n", "FILE row 2: date is '01.03.2024'. Write a day of the calendar as YYYY"),
        (HEADER + "acme,,false\n", "FILE row 2: date is empty"),
        (HEADER + "acme,2024-03-01,yes\n", "FILE row 2: churned is 'yes'. Write true if the account left"),
        (HEADER + "acme,2024-03-01,1\n", "FILE row 2: churned is '1'. Write true"),
        (HEADER + "acme,2024-03-01\n", "FILE row 2: churned is empty"),
        (HEADER + " ,2024-03-01,true\n", "FILE row 2: account_id is ' '. Write the account's id as text"),
        (HEADER + "acme, inc,2024-03-01,true\n", "FILE row 2 has more fields than the header. Quote"),
        (
            GOOD + "acme,2024-03-01,true\n",
            "FILE row 4: churned contradicts row 2: account acme both churned and stayed on 2024-03-01. Keep one",
        ),
        (HEADER + "acme,2024-03-01,false\n", "FILE: no account churned. Add the rows of accounts that left"),
        (HEADER + "acme,2024-03-01,true\n", "FILE: no account stayed. Add the rows of renewals"),
        (b"account_id,date,churned\n\xe4,2024-03-01,true\n", "FILE isn't text in UTF-8. Give CSV in UTF-8"),
        (HEADER + 'acme,"2024-03-01,true\n', "FILE can't be read as CSV"),
    ],
)
def test_what_csv_gets_wrong_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert refusal(csv_file(tmp_path, text)).startswith(said)


def test_what_parquet_gets_wrong_is_named(tmp_path: Path) -> None:
    days, churned = ["2024-03-01", "2024-03-02"], [True, False]
    assert refusal(parquet_file(tmp_path, account_id=["a", None], date=days, churned=churned)).startswith(
        "FILE row 2: account_id is empty"
    )
    assert refusal(parquet_file(tmp_path, account_id=[1.0, 2.0], date=days, churned=churned)).startswith(
        "FILE row 1: account_id is 1.0. Write the account's id as text"
    )
    assert refusal(parquet_file(tmp_path, account_id=["a", "b"], date=days, churned=[0, 1])).startswith(
        "FILE row 1: churned is 0. Write true"
    )
    assert refusal(parquet_file(tmp_path, account_id=["a", "b"], date=[1, 2], churned=churned)).startswith(
        "FILE row 1: date is 1. Write a day"
    )
    assert refusal(parquet_file(tmp_path, account_id=["a", "b"], date=days)).startswith("FILE has no column churned")


def test_a_parquet_file_cut_short_is_no_mystery(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, account_id=["a", "b"], date=["2024-03-01"] * 2, churned=[True, False])
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert refusal(path).startswith("FILE can't be read as Parquet: ")
        assert refusal(path).endswith("It may have been cut short: write it again")
