"""The mapping of a table's columns to the fields of events, by the options `--column` and `--constant`."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from scoring.scorecards.validation_errors import explain_fault
from service.jobs.load.event_fields import fields_of
from service.jobs.load.times import zone_of
from service.jobs.load.values import plain_constant
from service.messaging.cloudevents import type_of
from service.runtime.errors import HealthError
from service.runtime.settings import Signal


class Mapping(Struct, frozen=True, omit_defaults=True):  # omitted fields leave the identity of loads as it was
    """The origin of each field of a signal's events: a column's name, or a value that is the same for all rows."""

    signal: Signal
    columns: dict[str, str]
    constants: dict[str, str]
    timezone: str | None = None
    """The zone of times without one."""

    @property
    def data_fields(self) -> list[str]:
        """The mapped fields of `data`, columns first."""
        fields = fields_of(self.signal)
        return [name for name in [*self.columns, *self.constants] if fields[name].in_data]


def parse_mapping(
    signal: Signal, columns: Sequence[str], constants: Sequence[str], timezone: str | None = None
) -> Mapping:
    """Read `ours=theirs` of `--column` and `field=value` of `--constant`. Raises `HealthError` naming the option."""
    zone = zone_of(timezone)
    mapping = Mapping(
        signal,
        _pairs("--column", columns, "OURS=THEIRS", signal),
        _pairs("--constant", constants, "FIELD=VALUE", signal),
        timezone,
    )
    if twice := mapping.columns.keys() & mapping.constants.keys():
        raise HealthError(f"{min(twice)} has both a --column and a --constant", "Give one of the two")
    for name, text in mapping.constants.items():
        field = fields_of(signal)[name]
        try:
            msgspec.convert(plain_constant(text, field.kind, zone=zone), field.declared)
        except msgspec.ValidationError as error:
            problem = explain_fault(error, field.declared)
            raise HealthError(f"--constant {name}={text} can't be used: {problem}") from None
        except ValueError as error:
            raise HealthError(f"--constant {name}={text} can't be used: {error}") from None
    given = {**mapping.columns, **mapping.constants}
    for name, field in fields_of(signal).items():
        if field.required and name not in given:
            raise HealthError(
                f"{type_of(signal)} needs {name}, and no option says where it comes from",
                f"Add --column {name}=THEIR_COLUMN or --constant {name}=VALUE",
            )
    return mapping


def _pairs(option: str, texts: Sequence[str], form: str, signal: Signal) -> dict[str, str]:
    pairs: dict[str, str] = {}
    fields = fields_of(signal)
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise HealthError(f"{option} {text} can't be used", f"Write it as {option} {form}")
        if name not in fields:
            raise HealthError(f"{option} {text}: {type_of(signal)} has no field {name}", f"It has {', '.join(fields)}")
        if name in pairs:
            raise HealthError(f"{option} is given twice for {name}", "Give it once")
        pairs[name] = value
    return pairs
