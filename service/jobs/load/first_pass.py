"""The first pass over a log: every row is checked before anything is sent."""

import asyncio

from scoring.state.calendar import MICROSECONDS_PER_DAY
from service.jobs.load.first_pass_report import Findings
from service.jobs.load.progress_bar import bar
from service.jobs.load.row_validation import EventLog, check
from service.jobs.load.stop_signal import StoppedError
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError

_LAST_DAY = 9999 * 366 * MICROSECONDS_PER_DAY


async def examine(log: EventLog, source: str, max_bytes: int, *, will_move: bool, stop: asyncio.Event) -> Findings:
    """Check every row as if Kafka took it now; if times `will_move`, events of the future pass.

    Raises `StoppedError` when `stop` is set, and `HealthError` if the file can't be read.
    """
    findings = Findings()
    taken_at = _LAST_DAY if will_move else now_micros()
    chunks = log.drafts(1, source, shift_days=0)
    with bar(f"Checking {log.path.name}", log.rows) as advance:
        while (drafts := await asyncio.to_thread(next, chunks, None)) is not None:
            if stop.is_set():
                raise StoppedError("Stopped while checking. Nothing was sent")
            verdict = await asyncio.to_thread(check, drafts, max_bytes, taken_at)
            advance(drafts.next_row - 1 - findings.rows)
            findings.add(drafts, verdict)
    return findings


def require_valid(log: EventLog, findings: Findings) -> None:
    """Raise `HealthError` if any row was refused: it names the first, and counts them."""
    if findings.refused:
        first = findings.examples[0]
        others = f" (the first of {findings.refused:,} such rows)" if findings.refused > 1 else ""
        raise HealthError(
            f"{log.path} row {first.row:,}: {first.reason}{others}. Nothing was sent",
            "Correct it, or leave such rows out with --skip-invalid",
        )
