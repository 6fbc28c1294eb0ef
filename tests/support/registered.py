"""The metrics that the one module of metrics registers: names as Prometheus sees them, types, labels, meanings."""

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.metrics import MetricWrapperBase

from service.observability import metrics
from service.observability.collectors import BatchHistogram, PoolGauges

_Collector = MetricWrapperBase | BatchHistogram | PoolGauges
_SUFFIXES = {"counter": "_total", "info": "_info"}


class Registered(NamedTuple):
    """One metric, as a row of the table shows it."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


def registered() -> list[Registered]:
    """Every metric of the module, in its order."""
    return [each for value in vars(metrics).values() if isinstance(value, _Collector) for each in _of(value)]


def _of(collector: _Collector) -> Iterator[Registered]:
    for family in collector.describe():
        labels: tuple[str, ...] = tuple(getattr(collector, "_labelnames", ()) or getattr(family, "_labelnames", ()))
        if family.type == "info":
            [labels] = [tuple(sample.labels) for each in collector.collect() for sample in each.samples]
        name = family.name + _SUFFIXES.get(family.type, "")
        yield Registered(name, family.type, labels, family.documentation)
