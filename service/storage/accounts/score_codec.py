"""Converts an account's current run, its override and the rules' memory of it to their columns and back. Pure."""

from collections.abc import Mapping

import msgspec

from scoring.history.score_run import ScoreRun
from scoring.rules.conditions import RuleMemory
from scoring.scorecards.override import Override
from service.storage.accounts.history import HistoryRow
from service.storage.accounts.scores import ScoreRow
from service.storage.accounts.states import StoredAccount

_overrides = msgspec.json.Decoder(Override)
_encode = msgspec.json.Encoder().encode
_memories = msgspec.msgpack.Decoder(dict[str, RuleMemory])
_encode_memories = msgspec.msgpack.Encoder().encode


def decode_override(stored: str | None) -> Override | None:
    """Decode the output of `encode_override`."""
    return _overrides.decode(stored) if stored else None


def encode_override(override: Override | None) -> str | None:
    """The text for the column `override`."""
    return _encode(override).decode() if override else None


def decode_memories(stored: bytes | None) -> dict[str, RuleMemory]:
    """Decode the output of `encode_memories`, by rule id."""
    return _memories.decode(stored) if stored else {}


def encode_memories(memories: Mapping[str, RuleMemory]) -> bytes | None:
    """The bytes for the column `rule_memory`; None if there is nothing to remember."""
    return _encode_memories(memories) if memories else None


def score_run_of(stored: StoredAccount) -> ScoreRun | None:
    """The current run; None if the account was never evaluated."""
    if stored.day is None or stored.readings is None or stored.scorecard is None or stored.scorecard_version is None:
        return None
    return ScoreRun(
        stored.day,
        stored.day if stored.since is None else stored.since,
        stored.score,
        stored.band,
        stored.coverage,
        stored.scorecard,
        stored.scorecard_version,
        stored.readings,
        stored.journal,
        decode_override(stored.override),
    )


def score_row(
    account_id: str, score_run: ScoreRun, usage: bytes | None = None, usage_at: int = 0, usage_source: str = ""
) -> ScoreRow:
    """The row of the current run, with the encoded state of usage if that has changed."""
    return ScoreRow(
        account_id,
        score_run.score,
        score_run.band,
        score_run.coverage,
        score_run.readings,
        score_run.since,
        score_run.journal,
        usage,
        usage_at,
        usage_source,
    )


def history_row(account_id: str, closed: ScoreRun) -> HistoryRow:
    """The row of an ended run."""
    return HistoryRow(
        account_id,
        closed.day,
        closed.since,
        closed.score,
        closed.band,
        closed.coverage,
        closed.scorecard,
        closed.version,
        closed.readings,
        closed.journal,
        encode_override(closed.override),
    )
