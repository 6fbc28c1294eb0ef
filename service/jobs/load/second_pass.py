"""The second pass over a log: its events go to Kafka, and a checkpoint follows Kafka's confirmations."""

import asyncio
from collections import deque
from collections.abc import Iterator

from msgspec import Struct, structs

from service.jobs.load.batch_producer import BatchProducer, Receipts
from service.jobs.load.checkpoint import Checkpoint, CheckpointFile
from service.jobs.load.row_validation import EventDraft, EventLog, check
from service.jobs.load.terminal import Advance, StoppedError, bar
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError

IN_FLIGHT = 2
"""The number of chunks under way while the next one is read."""

GO_ON = "Run the same command again to go on"


class Chunk(Struct):
    """The next rows' events, ready to be sent, and the number of rows left out."""

    next_row: int
    events: list[EventDraft]
    skipped: int


def chunks_after(
    checkpoint: Checkpoint, log: EventLog, source: str, max_bytes: int, *, skip_invalid: bool
) -> Iterator[Chunk]:
    """The rows of a log after a checkpoint. Raises `HealthError` at an invalid row that isn't to be skipped."""
    for drafts in log.drafts(checkpoint.next_row, source, checkpoint.shift_days):
        events, refused = drafts.drafts, drafts.refused
        if not checkpoint.all_valid:
            verdict = check(drafts, max_bytes, now_micros())
            events, refused = verdict.passed, verdict.refused
        if refused and not skip_invalid:
            raise HealthError(
                f"{log.path} row {refused[0].row:,}: {refused[0].reason}", "Leave such rows out with --skip-invalid"
            )
        yield Chunk(drafts.next_row, events, len(refused))


class Ledger:
    """The chunks on their way to Kafka, oldest first, and the checkpoint after them."""

    def __init__(
        self, checkpoint: Checkpoint, kept: CheckpointFile, publisher: BatchProducer, advance: Advance
    ) -> None:
        """`checkpoint` is the content of the checkpoint file."""
        self.checkpoint = checkpoint
        self._kept = kept
        self._publisher = publisher
        self._advance = advance
        self._on_their_way: deque[tuple[Checkpoint, Receipts]] = deque()

    def enter(self, checkpoint: Checkpoint, receipts: Receipts) -> None:
        """Note that `checkpoint` holds once Kafka has confirmed these receipts and all before them."""
        self._on_their_way.append((checkpoint, receipts))

    async def settle(self, leave: int = 0) -> None:
        """Wait until at most `leave` chunks are on their way; writes the checkpoint. Raises `HealthError`."""
        while len(self._on_their_way) > leave:
            checkpoint, receipts = self._on_their_way[0]
            await self._publisher.confirm(receipts)
            self._kept.write(checkpoint)
            self._advance(checkpoint.next_row - self.checkpoint.next_row)
            self.checkpoint = checkpoint
            self._on_their_way.popleft()


async def send(
    chunks: Iterator[Chunk], checkpoint: Checkpoint, kept: CheckpointFile, publisher: BatchProducer, stop: asyncio.Event
) -> Checkpoint:
    """Send the chunks, which follow `checkpoint`, and return the final checkpoint.

    Raises `StoppedError` when `stop` is set, after chunks under way have arrived, and `HealthError`.
    """
    kept.write(checkpoint)
    with bar(f"Sending {checkpoint.file}", checkpoint.rows, checkpoint.next_row - 1) as advance:
        ledger = Ledger(checkpoint, kept, publisher, advance)
        try:
            await _send(chunks, ledger, publisher, stop)
        except HealthError as error:
            raise HealthError(f"{error.problem}. {_stand(ledger.checkpoint)}", error.remedy or GO_ON) from None
    if not ledger.checkpoint.finished:
        raise StoppedError(f"Stopped. {_stand(ledger.checkpoint)}. {GO_ON}")
    return ledger.checkpoint


async def _send(chunks: Iterator[Chunk], ledger: Ledger, publisher: BatchProducer, stop: asyncio.Event) -> None:
    ahead = ledger.checkpoint
    while not stop.is_set() and (chunk := await _next(chunks, ledger)) is not None:
        ahead = structs.replace(
            ahead,
            next_row=chunk.next_row,
            sent=ahead.sent + len(chunk.events),
            skipped=ahead.skipped + chunk.skipped,
        )
        ledger.enter(ahead, await publisher.publish(chunk.events))
        await ledger.settle(leave=IN_FLIGHT)
    await ledger.settle()


async def _next(chunks: Iterator[Chunk], ledger: Ledger) -> Chunk | None:
    try:
        # In a thread, so that the event loop can handle Kafka's answers meanwhile.
        return await asyncio.to_thread(next, chunks, None)
    except HealthError:
        await ledger.settle()
        raise


def _stand(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.next_row - 1:,} of {checkpoint.rows:,} rows of {checkpoint.file} are done"
