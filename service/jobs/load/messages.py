"""Messages of a load to its user."""

from collections.abc import Collection, Iterator

from scoring.state.calendar import from_day
from service.jobs.load.checkpoint import Checkpoint
from service.jobs.load.first_pass import Findings
from service.jobs.load.terminal import readable
from service.runtime.settings import Settings

NEXT = (
    "Next: `account-health progress show` shows how far consumers have folded them;"
    " then GET /v1/accounts lists the scores."
)


def planned(name: str, findings: Findings, shift_days: int, settings: Settings, now: int) -> Iterator[str]:
    """The contents of a file, and the plan for it; before anything is sent."""
    if not findings.days:
        yield f"{name}: no events"
    else:
        count = sum(findings.events.values())
        first, last = from_day(min(findings.days)), from_day(max(findings.days))
        topics = (f"{events:,} for {settings.topics[signal]}" for signal, events in findings.events.items())
        yield f"{name}: {count:,} events of {len(findings.accounts):,} accounts, {first} to {last}: {', '.join(topics)}"
        if shift_days:
            yield f"  All times move by {_days(shift_days)}."
        if late := findings.late(shift_days, settings.retention_days, now):
            remedy = "" if shift_days else " To try out an old log, add --shift-to-now."
            yield (
                f"  {late:,} of them are older than {settings.retention_days} days (HEALTH_RETENTION_DAYS)"
                f" and will be skipped as late.{remedy}"
            )
    yield from _skipped(findings)


def assumed_utc(columns: Collection[str]) -> str:
    """A warning that times have no time zone, with the remedy if they aren't in UTC."""
    names = readable(", ".join(sorted(columns)))
    return (
        f"Times of {names} don't say of which time zone they are, and are taken for UTC;"
        " for local times add --timezone ZONE, for example --timezone Europe/Berlin."
    )


def _skipped(findings: Findings) -> Iterator[str]:
    if findings.refused:
        yield f"  {findings.refused:,} rows can't be events and are left out:"
        yield from (f"    row {refused.row:,}: {refused.reason}" for refused in findings.examples)
        if findings.refused > len(findings.examples):
            yield "    …"


def already_loaded(checkpoint: Checkpoint) -> str:
    """A note that a file was loaded before, so that nothing is left to do."""
    again = (
        "moves them to today and sends them; those that were loaded before stay, and count too"
        if checkpoint.shift_days
        else "sends them once more, and the service drops what it has counted"
    )
    done = f"{checkpoint.file}: {checkpoint.sent:,} events were loaded before{_moved(checkpoint)}"
    return f"{done}. Nothing to do; --again {again}."


def continuing(checkpoint: Checkpoint) -> str:
    """A note that an earlier run has sent part of a file."""
    return f"{checkpoint.file}: continuing at row {checkpoint.next_row:,} of {checkpoint.rows:,}{_moved(checkpoint)}"


def topics_recreated(checkpoint: Checkpoint) -> str:
    """A warning that the events of an earlier run are no longer in Kafka."""
    topics = ", ".join(checkpoint.topics)
    return f"{checkpoint.file}: loaded before, but {topics} was created again since; loading from the beginning"


def sent(before: Checkpoint, after: Checkpoint, seconds: float) -> str:
    """The result of sending a file."""
    events = after.sent - before.sent
    earlier = f", {before.sent:,} were sent before" if before.sent else ""
    return (
        f"{after.file}: {events:,} events sent in {seconds:,.1f} s, {events / max(seconds, 1e-9):,.0f} events/s;"
        f" {after.skipped:,} rows skipped{earlier}"
    )


def _moved(checkpoint: Checkpoint) -> str:
    return f", times moved by {_days(checkpoint.shift_days)}" if checkpoint.shift_days else ""


def _days(days: int) -> str:
    return f"{days:+,} day{'' if abs(days) == 1 else 's'}"
