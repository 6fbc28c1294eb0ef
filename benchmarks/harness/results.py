"""The results of a benchmark: their stored form, and the document that is made of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NamedTuple, get_args

import msgspec
from msgspec import Struct

from benchmarks.harness.terminal import Options

QUIET = 0.05
"""The share of the processors that others may take before a warning says so."""
WORDS = {True: "met", False: "MISSED", None: "not measured"}


class Column(NamedTuple):
    """The annotation of a struct's field that is a column in tables: its heading, and the format of its value."""

    heading: str
    form: str = ""


Foreign = Annotated[float, Column("others", ".0%")]
"""The share of the machine's processors, from 0 to 1, that other processes took during a measurement."""


class Circumstances(Struct):
    """The time, command and machine of a benchmark's run."""

    package: str
    started_at: str
    command: str
    machine: dict[str, str]
    """Servers and contenders add their versions."""


@dataclass(frozen=True)
class ThresholdVerdict:
    """One target. `value` is None where it wasn't measured."""

    what: str
    value: float | None
    least: float | None = None
    most: float | None = None
    unit: str = ""
    decimals: int = 0

    @property
    def met(self) -> bool | None:
        """True if it was reached; None if it wasn't measured."""
        if self.value is None:
            return None
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def row(self) -> list[str]:
        """Its row in the table of targets."""
        bound = f"≤ {self.most:g}" if self.least is None else f"≥ {self.least:g}"
        value = "" if self.value is None else f"{self.value:,.{self.decimals}f} {self.unit}"
        return [self.what, f"{bound} {self.unit}".strip(), value.strip(), WORDS[self.met]]


class Results(Struct, Generic[Options]):
    """The base of all results. A benchmark adds fields, which it fills in while it measures."""

    ran: Circumstances
    options: Options

    @property
    def name(self) -> str:
        """The name in their title and their files' names."""
        return self.ran.package

    def sections(self) -> list[str]:
        """The tables, each with its heading."""
        raise NotImplementedError

    def verdicts(self) -> list[ThresholdVerdict]:
        """The targets."""
        raise NotImplementedError

    def faults(self) -> list[str]:
        """Lines on what went wrong while it was measured."""
        return []

    def raw(self) -> list[str]:
        """Parts of the written document that the terminal doesn't show."""
        return []

    def failed(self) -> bool:
        """True if the process should end with status 1."""
        return False


def report(results: Results[Any]) -> str:
    """All tables, as Markdown that reads well on a terminal."""
    targets = [["target", "wanted", "found", ""], *(verdict.row() for verdict in results.verdicts())]
    parts = [*results.sections(), section("Targets", table(targets))]
    if (worst := max(_foreign(msgspec.to_builtins(results)), default=0.0)) > QUIET:
        parts.append(
            f"NOT A QUIET MACHINE: others took up to {worst:.0%} of the processors, so rates are too low and times too"
            " long; µs CPU hold."
        )
    return "\n\n".join([*parts, *results.faults()])


def document(results: Results[Any]) -> str:
    """The contents of RESULTS-….md."""
    ran = results.ran
    parts = [
        f"# Results: {results.name}",
        f"`{ran.command}`, {ran.started_at}. What is measured, and how to read it, is in README.md.",
        "\n".join(f"- {name}: {value}" for name, value in ran.machine.items()),
        report(results),
        *results.raw(),
    ]
    return "\n\n".join(parts) + "\n"


def section(title: str, *parts: str) -> str:
    """Parts under a heading."""
    return "\n\n".join([f"## {title}", *parts])


def table_of(items: Sequence[Struct]) -> str:
    """A Markdown table with a row for each item, at least one. Its columns are the fields with a `Column`."""
    columns = {
        field.name: column
        for field in msgspec.structs.fields(items[0])
        for column in get_args(field.type)
        if isinstance(column, Column)
    }
    rows = [[f"{getattr(item, name):{column.form}}" for name, column in columns.items()] for item in items]
    return table([[column.heading for column in columns.values()], *rows])


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the first row is the head, the first column is text."""
    width, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *lines = [[row[0].ljust(width), *map(str.rjust, row[1:], widths)] for row in rows]
    rule = ["-" * width, *("-" * (each - 1) + ":" for each in widths)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def _foreign(value: Any) -> list[float]:
    """The values of all fields named `foreign`, however deep."""
    if isinstance(value, list):
        return [share for each in value for share in _foreign(each)]
    if isinstance(value, dict):
        return [share for name, each in value.items() for share in ([each] if name == "foreign" else _foreign(each))]
    return []
