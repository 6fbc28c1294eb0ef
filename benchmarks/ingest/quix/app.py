"""The Quix Streams application: its stateful API with a RocksDB state per key, and its PostgreSQL sink.

Per event it does what the service's consumer does per account and batch: decode strictly, fold, evaluate the default
scorecard, with the very same code. Its API offers no batching per account. Runs in the environment of
`requirements.txt`, with the repository on the path.
"""

import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
from quixstreams import Application, State  # type: ignore[import-not-found] # in an environment of its own
from quixstreams.sinks.community.postgresql import PostgreSQLSink  # type: ignore[import-not-found] # the same

from benchmarks.ingest.scorecard import default_scorecard
from scoring.scorecards.scorecard import evaluate
from scoring.state.account_state import decode, encode, fold
from scoring.state.calendar import day_of, from_day
from service.messaging.cloudevents import decode_structured, now_micros

STATE_KEY = "usage"

_encoder = msgspec.json.Encoder()
_scorecard = default_scorecard()
_first: list[float] = []


def score(value: bytes, _key: str, timestamp: int, _headers: Any, state: State) -> dict[str, Any]:
    """Fold one event into its account's state, and return the row of its score."""
    if not _first:
        _first.append(time.time())
        print(f"first event at {_first[0]}", flush=True)
    event = decode_structured("usage", value, timestamp * 1000).event
    account = decode(state.get_bytes(STATE_KEY), None, None, None)
    fold(account, [event])
    state.set_bytes(STATE_KEY, encode(account.usage))
    evaluation = evaluate(_scorecard, account, max(day_of(now_micros()), account.newest))
    return {
        "account_id": event.account_id,
        "score": evaluation.score,
        "band": evaluation.band,
        "coverage": evaluation.coverage,
        "day": from_day(evaluation.day).isoformat(),
        "measures": _encoder.encode(evaluation.measures).decode(),
    }


def main() -> None:
    """Arguments: bootstrap servers, topic, group, folder for state, number of events. HEALTH_DATABASE_URL: the target
    database.
    """
    bootstrap, topic, group, folder, events = sys.argv[1:]
    database = urlsplit(os.environ["HEALTH_DATABASE_URL"])
    app = Application(
        bootstrap, consumer_group=group, auto_offset_reset="earliest", state_dir=folder, loglevel="WARNING"
    )
    sink = PostgreSQLSink(
        host=database.hostname,
        port=database.port,
        dbname=database.path[1:],
        user=database.username,
        password=database.password,
        table_name="scores",
        schema_auto_update=False,
        primary_key_columns="account_id",
        upsert_on_primary_key=True,
        include_metadata=False,
    )
    source = app.topic(topic, key_deserializer="str", value_deserializer="bytes")
    app.dataframe(source).apply(score, stateful=True, metadata=True).sink(sink)
    app.run(count=int(events), collect=False)


if __name__ == "__main__":
    main()
