"""Reads outcomes from CSV or Parquet: `account_id`, `date` and `churned` of each renewal, and each account that left.

Rows have the numbers that a spreadsheet shows: of a CSV file the header is row 1; of a Parquet file the first is row 1.
"""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.backtest.outcomes import Outcome
from scoring.state.calendar import from_day, to_day, to_day_text
from service.jobs.load.terminal import readable, reason_of
from service.runtime.errors import HealthError

COLUMNS = ("account_id", "date", "churned")
_HEADER = ",".join(COLUMNS)
_WORDS = {"true": True, "false": False}

Row = tuple[int, Any, Any, Any]
"""A row's number and its three fields."""


def read_outcomes(file: Path) -> list[Outcome]:
    """The outcomes in a file, each once. Raises `HealthError` that names the row and field at fault.

    At least one account must have churned and one stayed: from anything else nothing can be learnt.
    """
    rows = _parquet_rows(file) if file.name.lower().endswith(".parquet") else _csv_rows(file)
    outcomes = _distinct(file, rows)
    if not outcomes:
        raise HealthError(f"{file} holds no outcomes", f"Give a row of {_HEADER} for each renewal and each churn")
    for churned, what, remedy in ((True, "churned", "accounts that left"), (False, "stayed", "renewals")):
        if all(outcome.churned != churned for outcome in outcomes):
            raise HealthError(f"{file}: no account {what}", f"Add the rows of {remedy}: a back-test compares the two")
    return outcomes


def _distinct(file: Path, rows: Iterable[Row]) -> list[Outcome]:
    found: dict[tuple[str, int], tuple[int, Outcome]] = {}
    for row, account, day, churned in rows:
        outcome = Outcome(_account(file, row, account), _day(file, row, day), _churned(file, row, churned))
        first, known = found.setdefault((outcome.account_id, outcome.day), (row, outcome))
        if known.churned != outcome.churned:
            raise HealthError(
                f"{file} row {row:,}: churned contradicts row {first:,}: account {readable(outcome.account_id)} both "
                f"churned and stayed on {from_day(outcome.day)}",
                "Keep one of the two rows",
            )
    return [outcome for _, outcome in found.values()]


def _account(file: Path, row: int, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise _fault(file, row, "account_id", value, "Write the account's id as text, as events have it")
    return value


def _day(file: Path, row: int, value: Any) -> int:
    if isinstance(value, datetime):
        return to_day(value.astimezone(UTC).date() if value.tzinfo else value.date())
    if isinstance(value, date):
        return to_day(value)
    try:
        return to_day_text(value.strip())
    except (ValueError, AttributeError):
        raise _fault(file, row, "date", value, "Write a day of the calendar as YYYY-MM-DD") from None


def _churned(file: Path, row: int, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _WORDS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise _fault(file, row, "churned", value, "Write true if the account left on that day, or false if it stayed")
    return found


def _fault(file: Path, row: int, field: str, value: Any, remedy: str) -> HealthError:
    said = "is empty" if value is None or value == "" else f"is {readable(repr(value))}"
    return HealthError(f"{file} row {row:,}: {field} {said}", remedy)


def _csv_rows(file: Path) -> Iterator[Row]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, strict=True)
            _require_columns(file, reader.fieldnames or ())
            for row in reader:
                if None in row:
                    raise HealthError(
                        f"{file} row {reader.line_num:,} has more fields than the header", "Quote values with commas"
                    )
                yield reader.line_num, row["account_id"], row["date"], row["churned"]
    except UnicodeDecodeError:
        raise HealthError(
            f"{file} isn't text in UTF-8", "Give CSV in UTF-8, or Parquet that ends in .parquet"
        ) from None
    except csv.Error as error:
        raise HealthError(f"{file} can't be read as CSV: {reason_of(error)}", f"Give CSV with {_HEADER}") from None
    except OSError as error:
        raise HealthError(f"{file} can't be read: {error.strerror}") from None


def _parquet_rows(file: Path) -> Iterator[Row]:
    row = 0
    try:
        with pq.ParquetFile(file) as opened:
            _require_columns(file, opened.schema_arrow.names)
            for batch in opened.iter_batches(columns=list(COLUMNS)):
                columns = [_values(batch.column(name)) for name in COLUMNS]
                for account, day, churned in zip(*columns, strict=True):
                    row += 1
                    yield row, account, day, churned
    except (pa.ArrowException, OSError, ValueError) as error:
        raise HealthError(
            f"{file} can't be read as Parquet: {reason_of(error)}", "It may have been cut short: write it again"
        ) from None


def _values(column: pa.Array) -> list[Any]:
    """Python's values; nanoseconds, which datetime doesn't have, are cut off."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _require_columns(file: Path, names: Iterable[str]) -> None:
    given = list(names)
    if not given:
        raise HealthError(f"{file} is empty", f"Give a header, {_HEADER}, and a row for each outcome")
    for name in COLUMNS:
        if given.count(name) != 1:
            said = "has no column" if name not in given else "has more than one column"
            shown = readable(", ".join(given))
            raise HealthError(f"{file} {said} {name}: it has {shown}", f"Give the columns {_HEADER}")
