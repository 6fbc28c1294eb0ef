"""The terminal: lines to it, and command lines.

A benchmark's options are the fields of a dataclass, whose docstring describes the benchmark.
"""

import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

Options = TypeVar("Options")

_started = time.monotonic()


def say(line: str) -> None:
    """Print a line with the time since the start."""
    minutes, seconds = divmod(round(time.monotonic() - _started), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {line}", flush=True)


def parse(package: str, options: type[Options], arguments: Sequence[str] | None = None) -> tuple[Options, Namespace]:
    """Read the command line of `python -m benchmarks.PACKAGE`; `--help` explains and exits.

    Returns the benchmark's options, and with them `write` and `show`, which every benchmark has. A ValueError from
    `options` is shown as a mistake of the user's.
    """
    parser = ArgumentParser(
        f"python -m benchmarks.{package}",
        description=options.__doc__,
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    own: Sequence[Field[Any]] = fields(options)  # type: ignore[arg-type] # a dataclass, which no bound can say
    for each in own:
        if each.default is MISSING:
            parser.add_argument(each.name, **each.metadata)
        else:
            parser.add_argument(f"--{each.name.replace('_', '-')}", default=each.default, **each.metadata)
    parser.add_argument("--write", action="store_true", help="write the tables to benchmarks/RESULTS-….md")
    parser.add_argument("--show", metavar="FILE", help="show the raw results in FILE again instead of measuring")
    given = parser.parse_args(arguments)
    try:
        return options(**{each.name: getattr(given, each.name) for each in own}), given
    except ValueError as error:
        parser.error(str(error))


def at_least(least: int) -> Callable[[str], int]:
    """A reader of numbers from `least` on."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise ArgumentTypeError(f"{text!r} is not a number of at least {least}, such as 100_000")
        return number

    return read


def some_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """A reader of a comma-separated choice of known words."""

    def read(text: str) -> tuple[str, ...]:
        chosen = tuple(text.split(","))
        if unknown := set(chosen) - set(known):
            raise ArgumentTypeError(f"{', '.join(sorted(unknown))}: take some of {', '.join(known)}")
        return chosen

    return read


def numbers(text: str) -> tuple[int, ...]:
    """Reads comma-separated numbers of at least 1; an empty text is none."""
    return tuple(map(at_least(1), text.split(","))) if text else ()


def option(default: object, help_: str, read: Callable[[str], object] | None = None, metavar: str = "N") -> Any:
    """A field that is an option: a flag if its default is False, else a number of at least 1, or what `read` reads.

    With `MISSING` as the default it is a required argument.
    """
    if default is False:
        return field(default=False, metadata={"help": help_, "action": "store_true"})
    return field(default=default, metadata={"help": help_, "type": read or at_least(1), "metavar": metavar})
