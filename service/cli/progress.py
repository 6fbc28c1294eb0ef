"""`account-health progress …`: the folded offsets, and an operator's way past a halted partition."""

import asyncio
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from service.messaging.client_config import client_arguments
from service.messaging.kafka_availability import why_refused
from service.messaging.topics import partitions_of
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, load_settings
from service.storage.database.session import in_transaction
from service.storage.ingest import progress
from service.storage.ingest.progress import Partition


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="The progress of folding, per topic and partition.", no_args_is_help=True)
    group.command()(show)
    group.command(name="set")(set_offset)
    app.add_typer(group, name="progress")


def show() -> None:
    """Show the next offset of every partition, its lag, and its owner."""
    settings = load_settings()
    rows = in_transaction(settings, progress.all_partitions)
    bounds = asyncio.run(_log_bounds(settings, [(row.topic, row.partition) for row in rows]))
    table = Table("topic", "partition", "next offset", "behind", "owner", "updated")
    for row in rows:
        first, end = bounds[row.topic, row.partition]
        inside = first <= row.next_offset <= end
        behind = f"{end - row.next_offset:,}" if inside else f"outside of the log, {first} to {end}"
        if row.halted:
            behind = f"HALTED: {row.halted}"
        updated = f"{row.updated_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(row.topic, str(row.partition), f"{row.next_offset:,}", behind, row.owner, updated)
    Console().print(table)
    added = {row.topic: row.partitions_added_at for row in rows if row.partitions_added_at}
    for topic, added_at in added.items():
        typer.echo(
            f"{topic} got more partitions before {added_at:%Y-%m-%d %H:%M:%S}: earlier events that are sent again"
            " may count twice"
        )


def set_offset(
    topic: str,
    partition: Annotated[str, typer.Argument(help="its number, or all of the topic's")],
    offset: Annotated[str, typer.Argument(help="earliest, latest or a number")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Set the next offset of a partition, or of all. Skipped records are never folded; repeated ones may count twice.

    With `all`, a numeric offset must lie in the log of each.
    """
    settings = load_settings()
    partitions = asyncio.run(_partitions(settings, topic, partition))
    bounds = asyncio.run(_log_bounds(settings, partitions))
    wanted = {each: _offset(offset, each, *bounds[each]) for each in partitions}
    if not yes:
        for (_, number), chosen in wanted.items():
            first, end = bounds[topic, number]
            typer.echo(f"{topic} partition {number}: at offset {chosen}; the log holds {first} to {end}", err=True)
        typer.confirm("Continue at these offsets?", abort=True, err=True)

    async def reset(connection: AsyncConnection) -> None:
        await progress.reset(connection, wanted)

    in_transaction(settings, reset)
    typer.echo("Done. Running consumers adopt it within seconds.")


def _offset(offset: str, partition: Partition, first: int, end: int) -> int:
    """The requested offset of a partition whose log holds `first` to `end`. Raises `HealthError`."""
    if offset in ("earliest", "latest"):
        return first if offset == "earliest" else end
    if not offset.isdecimal() or not first <= int(offset) <= end:
        raise HealthError(
            f"OFFSET {offset!r} can't be used for partition {partition[1]}",
            f"Give earliest, latest or {first} to {end}",
        )
    return int(offset)


async def _partitions(settings: Settings, topic: str, partition: str) -> list[Partition]:
    """The requested partitions. Raises `HealthError` if there are none.

    Asking Kafka for their offsets would create a mistyped topic, and wait for a partition for ever.
    """
    names = settings.topics.values()
    if topic not in names:
        raise HealthError(f"There is no topic {topic}", f"Give {', '.join(names)}")
    count = await partitions_of(settings, topic)
    if not count:
        raise HealthError(f"Kafka has no topic {topic} yet", "Run: account-health topics create")
    if partition == "all":
        return [(topic, number) for number in range(count)]
    if not partition.isdecimal() or int(partition) >= count:
        raise HealthError(
            f"PARTITION {partition} can't be used", f"{topic} has partitions 0 to {count - 1}; `all` sets all of them"
        )
    return [(topic, int(partition))]


async def _log_bounds(settings: Settings, partitions: list[Partition]) -> dict[Partition, tuple[int, int]]:
    if not partitions:
        return {}  # aiokafka can't stop a consumer that was asked nothing
    wanted = [TopicPartition(*partition) for partition in partitions]
    consumer = AIOKafkaConsumer(**client_arguments(settings))
    try:
        await consumer.start()
        first = await consumer.beginning_offsets(wanted)
        end = await consumer.end_offsets(wanted)
    except (KafkaError, ValueError) as error:
        if refused := await why_refused(settings, error):
            raise refused from None
        raise HealthError(
            f"Kafka can't give the offsets: {error}", "Check the topic and HEALTH_KAFKA_BOOTSTRAP_SERVERS"
        ) from None
    finally:
        await consumer.stop()
    return {(each.topic, each.partition): (first[each], end[each]) for each in wanted}
