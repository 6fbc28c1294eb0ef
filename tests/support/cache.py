"""The cache for files that take long to fetch or to build."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """HEALTH_TEST_CACHE, by default a folder of the user's; it exists."""
    folder = Path(os.environ.get("HEALTH_TEST_CACHE") or Path.home() / ".cache" / "account-health").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder
