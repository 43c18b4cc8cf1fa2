"""Names in PromQL are found, so that the tests beside can tell which exist."""

import pytest

from fakes.promql import labels_of, metrics_of


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ('up{job="a"} == 0', {"up"}, {"job"}),
        ("sum by (job, le) (rate(x_bucket[5m] offset 1h)) > 14.4 * 0.005", {"x_bucket"}, {"job", "le"}),
        ('a{x!="b{c}", y=~"d"} and on (z) b:c:d or vector(0)', {"a", "b:c:d"}, {"x", "y", "z"}),
        ("histogram_quantile(0.99, rate(a[$__rate_interval])) / time() unless b", {"a", "b"}, set()),
    ],
)
def test_metrics_and_labels_are_told_apart(expression: str, metrics: set[str], labels: set[str]) -> None:
    """From functions, keywords, texts and numbers, too."""
    assert metrics_of(expression) == metrics
    assert labels_of(expression) == labels
