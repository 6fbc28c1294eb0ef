"""`account-health load`: check all files, agree on the days to shift, send, and keep a checkpoint."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from service.jobs.load import messages
from service.jobs.load.batch_producer import BatchProducer, connect
from service.jobs.load.checkpoint import Checkpoint, CheckpointFile
from service.jobs.load.files import Examined, LoadRequest, LogFile, examine_files, naive_columns, open_files, shift_for
from service.jobs.load.kafka_cluster import KafkaCluster
from service.jobs.load.second_pass import chunks_after, send
from service.jobs.load.terminal import say
from service.messaging.cloudevents import now_micros
from service.runtime.settings import Settings
from service.storage.ingest.progress import Partition


class _Begun(Struct):
    """A file's load into one cluster, with its checkpoint."""

    file: LogFile
    kept: CheckpointFile
    checkpoint: Checkpoint


class Loaded(Struct, frozen=True):
    """A log that is in Kafka: the days by which each file's times were moved, and the next offset of each partition of
    its topics.
    """

    shifts: Mapping[Path, int]
    ends: Mapping[Partition, int]


async def load(order: LoadRequest, settings: Settings, stop: asyncio.Event) -> Loaded:
    """Send the events that aren't in Kafka yet, and print the result. Raises `HealthError` and `StoppedError`."""
    files = _open(order)
    async with connect(settings) as publisher:
        if order.signal is not None:
            await publisher.require([settings.topics[order.signal]])
        loads = await _begin(files, publisher.cluster, order, settings, stop)
        unfinished = [each for each in loads if not each.checkpoint.finished]
        await publisher.require({topic for each in unfinished for topic in each.checkpoint.topics})
        for each in unfinished:
            await _send(each, order, settings, publisher, stop)
        ends = await publisher.cluster.ends({topic for each in loads for topic in each.checkpoint.topics})
    if unfinished:
        say(messages.NEXT)
    return Loaded({each.file.log.path: each.checkpoint.shift_days for each in loads}, ends)


async def rehearse(order: LoadRequest, settings: Settings, stop: asyncio.Event) -> None:
    """Check all files and print what `load` would send, without Kafka. Raises `HealthError` and `StoppedError`."""
    examined = await examine_files(_open(order), order, settings.max_record_bytes, stop)
    shift_days = shift_for(examined, order)
    for each in examined:
        _tell(each, shift_days, settings)
        if (sample := each.findings.sample) is not None:
            again = each.file.log.drafts(sample.row, each.file.identity.source, shift_days)
            say(f"  The first: {next(again).drafts[0].value.decode()}")
    say("Nothing was sent.")


def _open(order: LoadRequest) -> list[LogFile]:
    files = open_files(order)
    if naive := naive_columns(files):
        say(messages.assumed_utc(naive))
    return files


async def _begin(
    files: Sequence[LogFile], cluster: KafkaCluster, order: LoadRequest, settings: Settings, stop: asyncio.Event
) -> list[_Begun]:
    """The loads: first those that an earlier run began, which may be finished, then the new ones, checked."""
    topics = settings.topics if order.signal is None else settings.topics[order.signal]
    begun = []
    fresh: list[tuple[LogFile, CheckpointFile]] = []
    for file in files:
        kept = CheckpointFile(order.state_dir, file.identity.key(cluster.id, topics, order.shift_to_now))
        checkpoint = None if order.again else await _found(kept, cluster)
        if checkpoint is None:
            fresh.append((file, kept))
        else:
            begun.append(_Begun(file, kept, checkpoint))
            say(messages.already_loaded(checkpoint) if checkpoint.finished else messages.continuing(checkpoint))
    examined = await examine_files([file for file, _ in fresh], order, settings.max_record_bytes, stop)
    # Files that are shifted to now are shifted together, also with those that were shifted on another day.
    shift_days = begun[0].checkpoint.shift_days if begun else shift_for(examined, order)
    for each, (file, kept) in zip(examined, fresh, strict=True):
        _tell(each, shift_days, settings)
        begun.append(_Begun(file, kept, _checkpoint(each, shift_days, settings)))
    return begun


async def _found(kept: CheckpointFile, cluster: KafkaCluster) -> Checkpoint | None:
    """The checkpoint of an earlier run; None if there is none, or if its topics were created again since."""
    checkpoint = kept.read()
    if checkpoint is None or await cluster.records_written(checkpoint.topics) >= checkpoint.sent:
        return checkpoint
    say(messages.topics_recreated(checkpoint))
    return None


def _checkpoint(examined: Examined, shift_days: int, settings: Settings) -> Checkpoint:
    findings = examined.findings
    return Checkpoint(
        file=examined.file.log.path.name,
        topics=sorted(settings.topics[signal] for signal in findings.events),
        rows=findings.rows,
        all_valid=not findings.refused,
        shift_days=shift_days,
    )


def _tell(examined: Examined, shift_days: int, settings: Settings) -> None:
    for line in messages.planned(str(examined.file.log.path), examined.findings, shift_days, settings, now_micros()):
        say(line)


async def _send(
    begun: _Begun, order: LoadRequest, settings: Settings, publisher: BatchProducer, stop: asyncio.Event
) -> None:
    before = begun.checkpoint
    source = begun.file.identity.source
    chunks = chunks_after(before, begun.file.log, source, settings.max_record_bytes, skip_invalid=order.skip_invalid)
    started = time.monotonic()
    after = await send(chunks, before, begun.kept, publisher, stop)
    say(messages.sent(before, after, time.monotonic() - started))
