"""The work of an engine on one account: its past, as an Arrow table of rows of history."""

from collections.abc import Mapping

import msgspec
import pyarrow as pa
from msgspec import Struct

from scoring.state.events import Event
from service.jobs.backtest.account_events import ACCOUNT
from service.jobs.backtest.policy_codec import decode_policy
from service.jobs.backtest.replay_task import DAY
from service.jobs.history.account_past import Wanted, past_rows
from service.storage.accounts.history import HistoryRow

_SCHEMA = pa.schema(
    [
        pa.field(ACCOUNT, pa.string()),
        pa.field(DAY, pa.int32()),
        pa.field("since", pa.int32()),
        pa.field("score", pa.float64()),
        pa.field("band", pa.string()),
        pa.field("coverage", pa.float64()),
        pa.field("scorecard", pa.string()),
        pa.field("scorecard_version", pa.int32()),
        pa.field("readings", pa.string()),
        pa.field("journal", pa.binary()),
        pa.field("override", pa.string()),
    ]
)
"""The fields of `HistoryRow`, in order."""


class HistoryTask(Struct, frozen=True):
    """The past of the accounts in `wanted`; other accounts have no rows. See `past_rows`."""

    policy: bytes
    """As `encode_policy` has it."""
    wanted: Mapping[str, Wanted]
    first_kept: int

    @property
    def schema(self) -> pa.Schema:
        """See `AccountTask`."""
        return _SCHEMA

    @property
    def digest(self) -> bytes:
        """See `AccountTask`."""
        return msgspec.msgpack.encode(self, order="deterministic")

    def rows(self, account_id: str, events: list[Event]) -> pa.Table:
        """See `AccountTask`."""
        wanted = self.wanted.get(account_id)
        if wanted is None:
            return _SCHEMA.empty_table()
        policy = decode_policy(self.policy)
        rows = past_rows(account_id, events, policy, wanted.live_from, self.first_kept, wanted.started_on)
        columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def history_rows(batch: pa.RecordBatch) -> list[HistoryRow]:
    """The rows that `HistoryTask` made."""
    return list(map(HistoryRow._make, zip(*batch.to_pydict().values(), strict=True)))
