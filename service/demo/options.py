"""What a demo is started with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The command's options. `accounts` counts for a new demo only: an earlier one goes on with its own."""

    data_dir: Path
    accounts: int
    port: int
    rate: float
    seed: int
