"""A benchmark from its command line to its files of results."""

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks.harness.machine import describe
from benchmarks.harness.processes import ROOT, ContenderFailedError
from benchmarks.harness.results import Circumstances, Results, document, report
from benchmarks.harness.terminal import Options, parse, say
from service.runtime.errors import HealthError

FOLDER = ROOT / "benchmarks" / "results"
AnyResults = TypeVar("AnyResults", bound=Results[Any])


def run_benchmark(
    package: str, options: type[Options], results: type[AnyResults], measure: Callable[[AnyResults], None]
) -> None:
    """Run `python -m benchmarks.PACKAGE`: `measure` fills in the results, whose tables are printed and written.

    What was measured is stored as JSON even if it ends early. Exits with status 1 if the results have failed.
    """
    chosen, given = parse(package, options)
    if given.show:
        found = msgspec.json.decode(Path(given.show).read_bytes(), type=results)
    else:
        started_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        command = " ".join([f"python -m benchmarks.{package}", *sys.argv[1:]])
        found = results(Circumstances(package, started_at, command, describe()), chosen)
        _measure(found, measure)
    print("\n" + report(found))
    if given.write:
        (FOLDER.parent / f"RESULTS-{found.name}.md").write_text(document(found))
    sys.exit(found.failed())


def _measure(results: AnyResults, measure: Callable[[AnyResults], None]) -> None:
    for name in [name for name in os.environ if name.startswith("HEALTH_") and not name.startswith("HEALTH_TEST_")]:
        del os.environ[name]  # the service gets the settings of the benchmark alone
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped and folders removed
    try:
        measure(results)
    except (ContenderFailedError, HealthError) as error:
        raise SystemExit(f"error: {error}") from None
    finally:
        FOLDER.mkdir(exist_ok=True)
        stored = FOLDER / f"{results.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
        stored.write_bytes(msgspec.json.encode(results))
        say(f"Raw results: benchmarks/results/{stored.name}")
