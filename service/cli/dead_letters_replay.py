"""`account-health dead-letters replay`."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer
from msgspec import Struct, field
from rich.console import Console
from rich.progress import track
from sqlalchemy.ext.asyncio import AsyncEngine

from service.messaging import dead_letter_replay
from service.messaging.kafka_errors import KafkaRefusesError
from service.messaging.publisher import NotConfirmedInTimeError, NotPublishedError, Publisher, RecordTooLargeError
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from service.storage.database.session import in_transaction, with_engine
from service.storage.ingest import dead_letter_listing
from service.storage.ingest.dead_letter_listing import DeadLetter, DeadLetterFilter

MANY = 1_000
"""The number of dead letters from which a bar shows the progress."""


class Report(Struct):
    """The result of a replay."""

    replayed: int = 0
    left: dict[int, str] = field(default_factory=dict)
    """Records that were not replayed, with the reason."""


def replay(
    ids: Annotated[
        list[int] | None,
        typer.Argument(min=1, max=2**63 - 1, metavar="[ID]...", help="Ids, as `dead-letters list` shows them."),
    ] = None,
    topic: Annotated[str | None, typer.Option("--topic", help="All dead letters of this topic.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters of all topics.")] = False,
    reason: Annotated[str | None, typer.Option(help="Of these, only those with this text in their reason.")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Of these, only those refused at this time (UTC) or later.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that were replayed before.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Publish refused records again, unchanged, to the topics that they came from.

    Do it once consumers can use them: after a fix, or a changed setting. An event counts once, however often it is
    replayed. A record that is refused again becomes a new dead letter.
    """
    if sum((bool(ids), topic is not None, everything)) != 1:
        raise HealthError("It isn't clear which dead letters to replay", "Give IDs, or --topic TOPIC, or --all")
    settings = load_settings()
    wanted = DeadLetterFilter(
        topic=topic,
        reason=reason,
        since=since and since.replace(tzinfo=UTC),
        replayed=None if again else False,
    )
    sizes = in_transaction(settings, lambda connection: dead_letter_listing.sizes(connection, wanted, ids))
    if missing := sorted(set(ids or ()) - sizes.keys()):
        raise HealthError(
            f"Dead letter {missing[0]} isn't among those to be replayed",
            f"Run: account-health dead-letters show {missing[0]}; one that was replayed before needs --again",
        )
    if not sizes:
        typer.echo("There is nothing to replay.")
        return
    if not yes:
        typer.confirm(f"Publish {_count(len(sizes))} again?", abort=True)
    report = with_engine(settings, lambda engine: _replay_all(engine, settings, sizes))
    _print_report(report)


def _print_report(report: Report) -> None:
    typer.echo(f"{_count(report.replayed)} replayed.")
    if not report.left:
        return
    for why, number in Counter(report.left.values()).most_common():
        typer.echo(f"{_count(number)} not replayed: {why}.", err=True)
    first = min(report.left)
    raise HealthError(
        f"{_count(len(report.left))} would only be refused again", f"Run: account-health dead-letters show {first}"
    )


async def _replay_all(engine: AsyncEngine, settings: Settings, sizes: dict[int, int]) -> Report:
    report = Report()
    publisher = Publisher(settings)
    try:
        for bite in _visibly(list(dead_letter_listing.batches(sizes)), len(sizes)):
            async with engine.connect() as connection:
                letters = await dead_letter_listing.read(connection, bite)
            await _replay(engine, publisher, _usable(letters, settings, report), report)
    except NotPublishedError as error:
        if isinstance(error.__cause__, KafkaRefusesError):
            raise error.__cause__ from None
        raise HealthError(
            f"Kafka can't be used: {error}; {report.replayed} of {len(sizes)} are replayed",
            "Check HEALTH_KAFKA_BOOTSTRAP_SERVERS and that the topics are there, then run this again for the rest",
        ) from None
    finally:
        await publisher.stop()
    return report


def _usable(letters: Iterable[DeadLetter], settings: Settings, report: Report) -> list[DeadLetter]:
    usable = []
    for letter in letters:
        if why := dead_letter_replay.replay_problem(letter, settings.max_record_bytes):
            report.left[letter.id] = why
        else:
            usable.append(letter)
    return usable


async def _replay(engine: AsyncEngine, publisher: Publisher, letters: list[DeadLetter], report: Report) -> None:
    """Replay all at once; if that takes too long, in halves, as the same size would take too long again.

    If one is too large for its topic, they are replayed one by one, so that only that one is left.
    """
    if not letters:
        return
    try:
        await dead_letter_replay.replay(engine, publisher, letters, datetime.now(UTC))
    except NotConfirmedInTimeError:
        half = len(letters) // 2
        if not half:
            raise
        await _replay(engine, publisher, letters[:half], report)
        await _replay(engine, publisher, letters[half:], report)
    except RecordTooLargeError:
        if len(letters) == 1:
            report.left[letters[0].id] = f"{letters[0].topic} takes no record of this size: raise its max.message.bytes"
            return
        for letter in letters:
            await _replay(engine, publisher, [letter], report)
    else:
        report.replayed += len(letters)


def _visibly(bites: list[list[int]], letters: int) -> Iterable[list[int]]:
    if letters < MANY:
        return bites
    return track(bites, description="Replaying", console=Console(stderr=True), transient=True)


def _count(number: int) -> str:
    return f"{number:,} dead letter{'' if number == 1 else 's'}"
