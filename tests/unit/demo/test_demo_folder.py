"""The demo's folder: one owner, nothing of anybody else's, and a memory that survives."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.demo.data_folder import DemoFolder, DemoMemory
from service.runtime.errors import HealthError

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_a_second_run_gets_what_the_first_one_kept(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    memory = folder.open(7, 200, NOW)
    assert memory == DemoMemory(7, 200, NOW, NOW)
    memory.loaded, memory.troubled = True, ["acme"]
    folder.save(memory)
    folder.close()
    again = DemoFolder(tmp_path / "demo")
    assert again.open(8, 20, NOW) == memory
    again.close()


def test_two_demos_cannot_share_a_folder_and_neither_can_be_removed_while_it_runs(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    folder.open(7, 200, NOW)
    with pytest.raises(HealthError, match="A demo is running"):
        DemoFolder(tmp_path).open(7, 200, NOW)
    with pytest.raises(HealthError, match="A demo is running"):
        DemoFolder(tmp_path).reset()
    folder.close()
    assert DemoFolder(tmp_path).reset()
    assert not tmp_path.exists()
    assert not DemoFolder(tmp_path).reset()


def test_a_folder_of_somebody_else_is_neither_used_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(HealthError, match="holds something other than a demo"):
        DemoFolder(tmp_path).open(7, 200, NOW)
    with pytest.raises(HealthError, match="is not a demo's folder"):
        DemoFolder(tmp_path).reset()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_is_secret_is_for_the_owner_alone(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "demo")
    folder.open(7, 200, NOW)
    folder.close()
    assert (tmp_path / "demo").stat().st_mode & 0o077 == 0
