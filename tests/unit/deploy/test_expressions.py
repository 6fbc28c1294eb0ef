"""The metrics that PromQL expressions need are found anywhere in them."""

import pytest

from tests.support.expressions import needed_by


@pytest.mark.parametrize(
    ("expression", "needed"),
    [
        ("up == 0", {("up", "")}),
        ('rate(a_total{x="1"}[5m])', {("a_total", ""), ("a_total", "x")}),
        (
            "histogram_quantile(0.9, sum by (le, route) (rate(a_bucket[5m])))",
            {("a_bucket", ""), ("a_bucket", "le"), ("a_bucket", "route")},
        ),
        (
            "sum by (x) (a) unless on (y) b > 0",
            {("a", ""), ("a", "x"), ("a", "y"), ("b", ""), ("b", "y")},
        ),
        ('absent(a{p="1"}) or absent(b)', {("a", ""), ("a", "p"), ("b", "")}),
        ("max_over_time(sum by (x) (a)[5m:1m])", {("a", ""), ("a", "x")}),
    ],
)
def test_metrics_and_labels(expression: str, needed: set[tuple[str, str]]) -> None:
    assert needed_by(expression) == needed


def test_what_is_no_promql_is_refused() -> None:
    with pytest.raises(ValueError, match="parenthesis"):
        needed_by("sum by (")
