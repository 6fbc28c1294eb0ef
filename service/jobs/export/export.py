"""The export: every requested dataset, all as of one moment."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.jobs.export.parquet_file import ParquetFile, folder_of, schema_of
from service.jobs.load.terminal import bar
from service.runtime.errors import HealthError
from service.storage.access import exports
from service.storage.access.exports import ExportView, ViewColumn

DATASETS: Final[Mapping[str, ExportView]] = {
    "health": exports.HEALTH,
    "daily": exports.DAILY,
    "measures": exports.MEASURES,
    "alerts": exports.ALERTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """The request: files by dataset and, for datasets with days, the first and the last day."""

    files: Mapping[str, Path]
    first: date
    last: date


async def export(engine: AsyncEngine, order: ExportRequest) -> list[ParquetFile]:
    """Write the files; in the end all exist, or none. Raises `HealthError`."""
    snapshot = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with ExitStack() as unpublished:
        files: list[ParquetFile] = []
        async with snapshot.connect() as connection:
            for dataset, path in order.files.items():
                columns = await exports.columns(connection, DATASETS[dataset])
                if not columns:
                    raise HealthError("The database has no views for analysts yet", "Run: account-health migrate")
                unpublished.enter_context(folder_of(path))
                files.append(unpublished.enter_context(ParquetFile(path, _schema(dataset, columns, order))))
                await _fill(files[-1], connection, dataset, columns, order)
        for file in files:
            file.publish()
        return files


def _schema(dataset: str, columns: Sequence[ViewColumn], order: ExportRequest) -> pa.Schema:
    source = DATASETS[dataset]
    about = {"dataset": dataset, "exported_at": datetime.now(UTC).isoformat()}
    if source.days:
        about |= {"from": str(order.first), "to": str(order.last)}
    return schema_of(columns, source.keys, about)


async def _fill(
    file: ParquetFile, connection: AsyncConnection, dataset: str, columns: Sequence[ViewColumn], order: ExportRequest
) -> None:
    source = DATASETS[dataset]
    total = await exports.count(connection, source, order.first, order.last)
    with bar(dataset, total) as advance:
        async for rows in exports.rows(connection, source, columns, order.first, order.last):
            file.write(rows)
            advance(len(rows))
    file.finish()
