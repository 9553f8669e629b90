"""Windows are added and taken apart without losing or inventing a request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.controller.window import Window

EDGES = (5.0, 10.0, 50.0)
COUNTS = st.integers(0, 20)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Return counts of a gateway, which has all of its buckets, or none before the first request."""
    if draw(st.booleans()) and draw(st.booleans()):
        return Window()
    steps = draw(st.tuples(COUNTS, COUNTS, COUNTS))
    cumulated = [sum(steps[: number + 1]) for number in range(len(EDGES))]
    timed = cumulated[-1] + draw(COUNTS)
    return Window(
        requests=timed + draw(COUNTS), errors=draw(COUNTS), timed=timed,
        buckets=tuple(zip(EDGES, cumulated, strict=True)),
    )  # fmt: skip


@given(earlier=windows(), later=windows())
def test_what_came_after_an_earlier_reading_is_what_was_added_to_it(earlier: Window, later: Window) -> None:
    both = earlier + later
    assert both == later + earlier
    found = both.since(earlier)
    assert (found.requests, found.errors, found.timed) == (later.requests, later.errors, later.timed)
    # Buckets that nothing was counted in may be there or not.
    assert {edge: count for edge, count in found.buckets if count} == {edge: n for edge, n in later.buckets if n}
    assert [edge for edge, _ in both.buckets] == sorted({edge for edge, _ in (*earlier.buckets, *later.buckets)})


def test_windows_of_other_buckets_keep_each_others() -> None:
    both = Window(requests=3, timed=3, buckets=((50.0, 3),)) + Window(requests=2, timed=2, buckets=((5.0, 1), (9.0, 2)))
    assert both.buckets == ((5.0, 1), (9.0, 2), (50.0, 3))
    assert both.since(Window(buckets=((9.0, 2),))).buckets == ((5.0, 1), (9.0, 0), (50.0, 3))


NOW = Window(requests=9, errors=3, timed=8, buckets=((5.0, 4), (10.0, 8)))


@pytest.mark.parametrize(
    "earlier",
    [
        Window(requests=10, errors=1, timed=1, buckets=((5.0, 1), (10.0, 1))),
        Window(requests=1, errors=4, timed=1, buckets=((5.0, 1), (10.0, 1))),
        Window(requests=1, errors=1, timed=9, buckets=((5.0, 1), (10.0, 1))),
        Window(requests=1, errors=1, timed=1, buckets=((5.0, 5), (10.0, 5))),
        Window(requests=1, errors=1, timed=1, buckets=((5.0, 1), (10.0, 9))),
    ],
    ids=["requests", "errors", "timed", "the first bucket", "the last bucket"],
)
def test_where_any_counter_fell_they_all_began_anew(earlier: Window) -> None:
    assert NOW.since(earlier) == NOW


def test_nothing_new_is_nothing_and_no_new_beginning() -> None:
    assert NOW.since(NOW) == Window(buckets=((5.0, 0), (10.0, 0)))
    assert NOW.since(Window()) == NOW
