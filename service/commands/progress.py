"""`account-health progress …`: what was folded, and an operator's way past a halted partition."""

import asyncio
from typing import Annotated

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from service.commands.running import in_transaction
from service.errors import HealthError
from service.kafka_clients import connection
from service.kafka_contact import why_refused
from service.settings import Settings, load_settings
from service.storage import progress
from service.topics import partitions_of


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Where folding stands, per topic and partition.", no_args_is_help=True)
    group.command()(show)
    group.command(name="set")(set_offset)
    app.add_typer(group, name="progress")


def show() -> None:
    """Show the next offset of every partition, how far behind it is, and who owns it."""
    settings = load_settings()
    rows = in_transaction(settings, progress.show)
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


def set_offset(
    topic: str,
    partition: int,
    offset: Annotated[str, typer.Argument(help="earliest, latest or a number")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Set the next offset of a partition. Skipped records are never folded; repeated ones may count twice."""
    settings = load_settings()
    asyncio.run(_check_partition(settings, topic, partition))
    first, end = asyncio.run(_log_bounds(settings, [(topic, partition)]))[topic, partition]
    wanted = {"earliest": first, "latest": end}.get(offset)
    if wanted is None:
        if not offset.isdecimal() or not first <= int(offset) <= end:
            raise HealthError(f"OFFSET {offset!r} can't be used", f"Give earliest, latest or {first} to {end}")
        wanted = int(offset)
    if not yes:
        typer.confirm(
            f"Go on with {topic} partition {partition} at offset {wanted}? The log holds {first} to {end}", abort=True
        )

    async def reset(connection: AsyncConnection) -> None:
        await progress.reset(connection, {(topic, partition): wanted})

    in_transaction(settings, reset)
    typer.echo("Done. Consumers that run take it up within seconds.")


async def _check_partition(settings: Settings, topic: str, partition: int) -> None:
    """Asking for its offsets would create a topic that is mistyped, and wait for a partition for ever."""
    names = settings.topics.values()
    if topic not in names:
        raise HealthError(f"There is no topic {topic}", f"Give {', '.join(names)}")
    count = await partitions_of(settings, topic)
    if not count:
        raise HealthError(f"Kafka has no topic {topic} yet", "Run: account-health topics create")
    if not 0 <= partition < count:
        raise HealthError(f"PARTITION {partition} can't be used", f"{topic} has partitions 0 to {count - 1}")


async def _log_bounds(
    settings: Settings, partitions: list[progress.Partition]
) -> dict[progress.Partition, tuple[int, int]]:
    if not partitions:
        return {}  # aiokafka can't stop a consumer that was asked nothing
    wanted = [TopicPartition(*partition) for partition in partitions]
    consumer = AIOKafkaConsumer(**connection(settings))
    try:
        await consumer.start()
        first = await consumer.beginning_offsets(wanted)
        end = await consumer.end_offsets(wanted)
    except (KafkaError, ValueError) as error:
        if refused := await why_refused(settings, error):
            raise refused from None
        raise HealthError(
            f"Kafka can't tell the offsets: {error}", "Check the topic and HEALTH_KAFKA_BOOTSTRAP_SERVERS"
        ) from None
    finally:
        await consumer.stop()
    return {(each.topic, each.partition): (first[each], end[each]) for each in wanted}
