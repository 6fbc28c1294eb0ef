"""A profile of the consumer: py-spy samples it while it folds a full topic."""

import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from benchmarks.harness.virtualenvs import python_of
from benchmarks.ingest import contender_service
from benchmarks.ingest.contenders import FilledTopic
from benchmarks.ingest.results import Profile
from service.runtime.settings import Settings

REQUIREMENTS = Path(__file__).with_name("requirements-profile.txt")
PER_SECOND = 200
MOST = 40
LOOP = "/consumers/"
"""Frames above the first one of this package are the same in every sample."""


def profile(topic: FilledTopic, settings: Settings) -> Profile:
    """Fold the whole topic once more under py-spy, from the first commit on.

    It slows the process, so no rate is kept. Moments in which the process waits are left out.
    """
    stacks = topic.arena.folder / f"profile-{topic.distribution}.txt"
    spy = python_of("profile", REQUIREMENTS).with_name("py-spy")
    with contender_service.consuming(topic.arena, settings) as contender:
        contender_service.watch_progress(topic.arena, settings, contender, 1)
        command = [str(spy), "record", "--pid", str(contender.pid), "--format", "raw", "--output", str(stacks)]
        command += ["--rate", str(PER_SECOND), "--full-filenames"]
        watcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        contender_service.watch_progress(topic.arena, settings, contender, len(topic.workload))
    watcher.wait(60)  # it writes once the process has ended
    return summarise(topic.distribution, stacks.read_text().splitlines())


def summarise(distribution: str, lines: Iterable[str]) -> Profile:
    """Shares from collapsed stacks, `frame;frame;frame COUNT`, outermost first."""
    packages: Counter[str] = Counter()
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples = 0
    for line in lines:
        stack, _, times = line.rpartition(" ")
        frames = _below_loop(stack.split(";"))
        count = int(times)
        samples += count
        packages[package(frames[-1])] += count
        own[short(frames[-1])] += count
        for frame in {short(frame) for frame in frames}:
            total[frame] += count

    def shares(counts: Counter[str]) -> list[tuple[str, float]]:
        return [(name, round(100 * count / samples, 1)) for name, count in counts.most_common(MOST)]

    return Profile(distribution, samples, shares(packages), shares(own), shares(total))


def _below_loop(frames: list[str]) -> list[str]:
    first = next((number for number, frame in enumerate(frames) if LOOP in frame), None)
    return frames[-1:] if first is None else frames[first:]


def package(frame: str) -> str:
    """The package of a frame: an installed one's name, one of ours with its room, or Python itself."""
    parts = Path(_place(frame)).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    for ours_ in ("consumers", "service", "scoring"):
        if ours_ in parts:
            start = parts.index(ours_)
            return "/".join(parts[start : start + 2]).removesuffix(".py")
    return "Python"


def short(frame: str) -> str:
    """`function (package/module.py)` of py-spy's `function (/long/path/package/module.py:12)`."""
    function = frame.partition(" (")[0] or "(no Python)"
    parts = Path(_place(frame)).parts
    return f"{function} ({'/'.join(parts[-2:])})" if parts else function


def _place(frame: str) -> str:
    place = frame.partition(" (")[2].removesuffix(")")
    return place.rpartition(":")[0] or place
