"""The number of processors, on systems that tell and on those that don't."""

import os

import pytest

from service.runtime.processors import usable_processors


def test_it_is_what_the_process_may_use_or_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert usable_processors() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_processors() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors() == 1
