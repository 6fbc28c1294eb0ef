"""`python -m tests.support.deliver`: a delivery process with short leases and retries, for tests to kill."""

import asyncio
from datetime import timedelta

from service.delivery.retry import RetryPolicy
from service.delivery.worker import run
from service.runtime.settings import load_settings
from service.storage.database.engine import create_engine

LEASE_SECONDS = 2.0
RETRIES = RetryPolicy((timedelta(seconds=0.2),) * 200, jitter=0.2, longest_asked=timedelta(seconds=1))


async def _main() -> None:
    settings = load_settings()
    engine = create_engine(settings, "deliver")
    await run(engine, settings, asyncio.Event(), policy=RETRIES, lease_seconds=LEASE_SECONDS)


if __name__ == "__main__":
    asyncio.run(_main())
