"""Metrics that prometheus_client has no type for: histograms of whole batches, and the state of connection pools."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine, QueuePool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class BatchHistogram(Collector):
    """A histogram with one label that takes a batch of values at once, for values too many to observe one by one.

    100,000 values take 2 ms; prometheus_client's own takes 1 µs for each.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        label: str,
        buckets: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """`buckets` are upper bounds, rising and without the infinite one."""
        self._name = name
        self._documentation = documentation
        self._labelnames = (label,)
        self._bounds = [float(bound) for bound in buckets]
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        registry.register(self)

    def observe(self, label: str, values: "NDArray[np.float64]") -> None:
        """Count values in the histogram of a label's value; negative ones, from clocks that differ, count as zero."""
        import numpy as np  # imported by batch processes only: it takes 18 MB

        values = np.maximum(values, 0.0)
        places = np.searchsorted(self._bounds, values)  # the first bound that isn't below the value
        counts: list[int] = np.bincount(places, minlength=len(self._bounds) + 1).tolist()
        before = self._counts.get(label, [0] * len(counts))
        self._counts[label] = [sum(pair) for pair in zip(before, counts, strict=True)]
        self._sums[label] = self._sums.get(label, 0.0) + float(values.sum())

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The family, without samples."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family with its current samples."""
        [family] = self.describe()
        bounds = [*map(str, self._bounds), "+Inf"]
        for label, counts in self._counts.items():
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            family.add_metric([label], buckets, self._sums[label])
        yield family


class PoolGauges(Collector):
    """Gauges of connection pools: their size, and the connections by state."""

    def __init__(self, size: str, connections: str, registry: CollectorRegistry = REGISTRY) -> None:
        """`size` and `connections` name the two gauges."""
        self._families = (
            (size, "The most connections to Postgres that the process may have", ["pool"]),
            (connections, "Connections to Postgres that the process has, in_use or idle", ["pool", "state"]),
        )
        self._engines: WeakKeyDictionary[Engine, str] = WeakKeyDictionary()
        registry.register(self)

    def watch(self, engine: Engine, name: str) -> None:
        """Show an engine's pool under a name, together with others of that name, as long as the engine exists."""
        self._engines[engine] = name

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Both families, without samples."""
        for name, documentation, labels in self._families:
            yield GaugeMetricFamily(name, documentation, labels=labels)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Both families with their current samples."""
        size, connections = self.describe()
        for name, pools in self._pools().items():
            size.add_metric([name], sum(pool.size() for pool in pools))
            connections.add_metric([name, "in_use"], sum(pool.checkedout() for pool in pools))
            connections.add_metric([name, "idle"], sum(pool.checkedin() for pool in pools))
        yield size
        yield connections

    def _pools(self) -> dict[str, list[QueuePool]]:
        found: dict[str, list[QueuePool]] = {}
        for engine, name in self._engines.items():
            assert isinstance(engine.pool, QueuePool)
            found.setdefault(name, []).append(engine.pool)
        return found
