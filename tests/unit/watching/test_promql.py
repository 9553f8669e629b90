"""What is told of an expression is what Prometheus reads of it."""

from __future__ import annotations

import pytest

from promql import read


def test_metrics_come_with_the_labels_they_are_matched_by() -> None:
    reading = read('sum by (a, b) (rate(x_total{c="1", d=~"2,3|}"}[5m])) / on (a) group_left (e) max(y) > bool 0.5e3')
    assert reading.metrics == {"x_total": {"c", "d"}, "y": set()}
    assert reading.grouped == {"a", "b", "e"}


def test_a_label_is_copied_within_whatever_it_stands_in() -> None:
    reading = read('max by (t) (label_replace(label_replace(x, "t", "$1", "s", "(.+)"), "u", "$1", "t", "(.*)"))')
    assert reading.metrics == {"x": set()}
    assert (reading.made, reading.copied) == ({"t", "u"}, {"s", "t"})


@pytest.mark.parametrize(
    "expr",
    ["x offset 1d", "avg_over_time(x[6h:5m])", "absent(x == 1)", "x unless on () x", "count without (a) (x)", "-x ^ 2"],
)
def test_words_and_numbers_are_no_metrics(expr: str) -> None:
    assert set(read(expr).metrics) == {"x"}


def test_a_record_may_be_called_like_an_aggregation() -> None:
    assert set(read("sum + count:x:sum").metrics) == {"sum", "count:x:sum"}


@pytest.mark.parametrize("expr", ["x ? y", '{a="b"}'])
def test_what_cannot_be_told_is_refused(expr: str) -> None:
    with pytest.raises(ValueError, match=r"begins nothing|read by nobody"):
        read(expr)
