"""Checkpoints, and what makes a load the same load."""

import os
from pathlib import Path

import pytest
from msgspec import structs

from service.jobs.load.checkpoint import Checkpoint, CheckpointFile, Identity, default_folder, identify
from service.jobs.load.column_mapping import Mapping
from service.runtime.errors import HealthError

HALF = Checkpoint("a.parquet", ["usage-events"], rows=10, all_valid=True, shift_days=3, next_row=6, sent=4, skipped=1)
MAPPING = Mapping("usage", {"subject": "a", "time": "t", "feature": "f"}, {})
IDENTITY = Identity("a.parquet", "f00", MAPPING)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    kept = CheckpointFile(tmp_path / "new" / "folder", "key")
    assert kept.read() is None
    kept.write(HALF)
    assert kept.read() == HALF
    kept.write(structs.replace(HALF, next_row=11))
    assert [path.name for path in kept.path.parent.iterdir()] == ["key.json"]


def test_a_load_is_finished_when_the_last_row_is_behind_it() -> None:
    assert not HALF.finished
    assert not structs.replace(HALF, next_row=10).finished
    assert structs.replace(HALF, next_row=11).finished


def test_a_crash_while_writing_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = CheckpointFile(tmp_path, "key")
    kept.write(HALF)

    def crash(path: Path, data: bytes) -> int:
        os.write(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), data[:5])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", crash)
    with pytest.raises(KeyboardInterrupt):
        kept.write(structs.replace(HALF, next_row=11))
    assert kept.read() == HALF


@pytest.mark.parametrize("text", ["", "{", '{"file": 1}', "[]"])
def test_a_broken_checkpoint_is_named_with_its_remedy(tmp_path: Path, text: str) -> None:
    kept = CheckpointFile(tmp_path, "key")
    kept.path.write_text(text)
    with pytest.raises(HealthError, match=r"key\.json can't be read.*Delete it to load"):
        kept.read()


def test_a_folder_that_cannot_be_written_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HealthError, match="Give another folder with --state-dir"):
        CheckpointFile(tmp_path / "file", "key").write(HALF)


def test_checkpoints_are_kept_where_the_desktop_keeps_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert default_folder() == Path("/var/state/account-health/loads")
    monkeypatch.setenv("XDG_STATE_HOME", "relative, so to be ignored")
    monkeypatch.setenv("HOME", "/home/ann")
    assert default_folder() == Path("/home/ann/.local/state/account-health/loads")


def test_a_file_is_known_by_its_name_and_content(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for path, text in [("a.ndjson", "1"), ("there/a.ndjson", "1"), ("b.ndjson", "1"), ("there/b.ndjson", "2")]:
        (tmp_path / path).write_text(text)
    assert identify(tmp_path / "a.ndjson", None) == identify(tmp_path / "there" / "a.ndjson", None)
    assert identify(tmp_path / "a.ndjson", None) != identify(tmp_path / "b.ndjson", None)
    assert identify(tmp_path / "b.ndjson", None) != identify(tmp_path / "there" / "b.ndjson", None)


def test_the_source_changes_with_whatever_makes_other_events_of_the_rows() -> None:
    other_mapping = structs.replace(IDENTITY, mapping=structs.replace(MAPPING, constants={"quantity": "2"}))
    sources = {
        IDENTITY.source,
        structs.replace(IDENTITY, name="b.parquet").source,
        structs.replace(IDENTITY, content="f01").source,
        other_mapping.source,
    }
    assert len(sources) == 4
    reordered = Mapping("usage", dict(reversed(MAPPING.columns.items())), {})
    assert structs.replace(IDENTITY, mapping=reordered).source == IDENTITY.source


def test_the_source_of_today_is_the_source_of_tomorrow() -> None:
    """Another answer here would make duplicates of everything that was loaded count again."""
    assert IDENTITY.source == "load:a.parquet:b55f295220c846a7"
    assert structs.replace(IDENTITY, name="a b&ü.parquet").source.startswith("load:a%20b%26%C3%BC.parquet:")


def test_the_key_of_a_checkpoint_changes_with_where_the_load_goes() -> None:
    keys = {IDENTITY.key("cluster", "usage-events", False), IDENTITY.key("other", "usage-events", False)}
    keys |= {IDENTITY.key("cluster", "clicks", False), IDENTITY.key("cluster", "usage-events", True)}
    assert len(keys) == 4
