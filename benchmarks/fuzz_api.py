"""The API fuzzed for any length of time: `python -m benchmarks.fuzz_api --examples 200 --seed 7`.

Exits with 1 if a check of schemathesis fails; its report names the check, with a curl line for each.
"""

import argparse
import asyncio
import sys

from benchmarks.harness.servers import Arena, prepare, run_servers
from benchmarks.harness.terminal import say
from service.observability.logs import configure_logs
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from tests.support.api_fuzz import SETTINGS, Fuzzed, fuzz, target


def main() -> int:
    """Run it; returns the exit status."""
    options = _options()
    with run_servers() as arena:
        settings = _settings(arena)
        configure_logs(settings, "fuzz")
        found = asyncio.run(_fuzz(settings, options.examples, options.seed))
    say(found.report)
    say(f"{found.requests:,} requests; {'every check held' if found.held else 'NOT EVERY CHECK HELD'}.")
    return 0 if found.held else 1


async def _fuzz(settings: Settings, examples: int, seed: int) -> Fuzzed:
    engine = create_engine(settings, "fuzz")
    try:
        async with target(settings, engine) as api:
            return await fuzz(api, examples, seed)
    finally:
        await engine.dispose()


def _settings(arena: Arena) -> Settings:
    settings = arena.settings(arena.create_database("fuzz"), f"{arena.run}-fuzz", f"{arena.run}-fuzz", partitions=3)
    prepare(settings)
    return Settings(_env_file=None, **{**settings.model_dump(), **SETTINGS, "log_level": "warning"})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="per operation, in the phase that makes most")
    parser.add_argument("--seed", type=int, default=1, help="the same requests for the same seed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
