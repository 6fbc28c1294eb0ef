"""Metrics as Prometheus would see them: of this process, or read from the text of another."""

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(text: str) -> Series:
    """Value by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Change:
    """The growth of metrics of this process since this was made."""

    def __init__(self) -> None:
        self._before = series(generate_latest(REGISTRY).decode())

    def of(self, name: str, **labels: str) -> float:
        """The growth of one series."""
        key = (name, frozenset(labels.items()))
        return series(generate_latest(REGISTRY).decode()).get(key, 0.0) - self._before.get(key, 0.0)


def value(name: str, **labels: str) -> float | None:
    """One series of this process as it is now; None if it isn't there."""
    return REGISTRY.get_sample_value(name, labels)
