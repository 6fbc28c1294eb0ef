"""The collectors of our own show what prometheus_client's types would."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from service.observability.collectors import BatchHistogram

BUCKETS = (0.125, 1, 2.5, 1_800)
VALUES = st.one_of(st.sampled_from([0.0, 0.125, 1.0, 2.5, 1_800.0, 1e9]), st.integers(0, 4_000).map(lambda n: n / 2))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(VALUES)), max_size=5))
def test_a_batch_is_counted_as_its_values_one_by_one(batches: list[tuple[str, list[float]]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    at_once = BatchHistogram("waited_seconds", "How long", "topic", BUCKETS, ours)
    one_by_one = Histogram("waited_seconds", "How long", ["topic"], buckets=BUCKETS, registry=theirs)
    for topic, values in batches:
        one_by_one.labels(topic)
        at_once.observe(topic, np.array(values, dtype=np.float64))
        for value in values:
            one_by_one.labels(topic).observe(value)
    assert generate_latest(ours).decode() == generate_latest(theirs).decode()


def test_clocks_that_differ_make_no_negative_time() -> None:
    registry = CollectorRegistry()
    BatchHistogram("waited_seconds", "How long", "topic", BUCKETS, registry).observe("a", np.array([-5.0, 2.0]))
    assert registry.get_sample_value("waited_seconds_sum", {"topic": "a"}) == 2.0
    assert registry.get_sample_value("waited_seconds_bucket", {"topic": "a", "le": "0.125"}) == 1.0
