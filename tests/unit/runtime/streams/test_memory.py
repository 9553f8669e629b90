from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.clock import Clock
from mlplat.runtime.streams.event import Event
from mlplat.runtime.streams.memory import AHEAD, Memory

START = datetime(2013, 7, 1, tzinfo=UTC)
HORIZON = timedelta(minutes=30)
NOW = Clock.parse("2026-01-01")


def event(number: int, minute: int) -> Event:
    known = START + timedelta(minutes=minute)
    return Event(f"e{number}", "departed", "EWR", known - timedelta(minutes=number % 7), known, {"delay": number})


HISTORIES = st.lists(st.integers(0, 120), min_size=1, max_size=25).map(
    lambda minutes: [event(number, minute) for number, minute in enumerate(minutes)]
)


@st.composite
def delivered(draw: st.DrawFn) -> tuple[list[Event], list[list[Event]]]:
    """Return events, and deliveries of them: each at least once, in any order, cut into batches anywhere."""
    events = draw(HISTORIES)
    repeats = draw(st.lists(st.sampled_from(events), max_size=25))
    order = draw(st.permutations([*events, *repeats]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=5)))
    return events, [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]


def sorted_unique(events: list[Event]) -> list[Event]:
    """What must be remembered of events, whatever happened to them on the way."""
    newest = max(each.known for each in events)
    return sorted((e for e in events if e.known >= newest - HORIZON), key=lambda e: (e.known, e.id))


@given(delivered())
def test_order_repeats_and_splits_of_deliveries_change_nothing(given: tuple[list[Event], list[list[Event]]]) -> None:
    events, batches = given
    memory = Memory(HORIZON, NOW)
    used: list[str] = []
    for batch in batches:
        used += [each.id for each in memory.take(each.encoded() for each in batch)]
        # As after a crash: what was written down is all that is left.
        written, memory = json.loads(json.dumps(memory.described())), Memory(HORIZON, NOW)
        memory.restore(written)
    assert memory.events() == sorted_unique(events)
    assert len(used) == len(set(used))
    assert memory.counts.total() == sum(map(len, batches))
    assert memory.counts["taken"] == len(used)


@settings(max_examples=40)
@given(delivered())
def test_what_is_behind_the_watermark_is_counted_and_never_used(given: tuple[list[Event], list[list[Event]]]) -> None:
    memory = Memory(HORIZON, NOW)
    for each in (each for batch in given[1] for each in batch):
        watermark, late = memory.watermark, memory.counts["late"]
        taken = memory.take([each.encoded()])
        behind = watermark is not None and each.known < watermark
        assert memory.counts["late"] == late + behind
        assert not (behind and taken)


def test_memory_is_bounded_by_the_horizon() -> None:
    memory = Memory(HORIZON, NOW)
    memory.take(event(number, number).encoded() for number in range(1000))
    assert len(memory.events()) == 31
    assert len(memory.described()["events"]) == 31


def test_an_event_of_a_wrong_clock_does_not_make_all_others_late() -> None:
    memory = Memory(HORIZON, Clock.parse(START.isoformat()))
    soon, tomorrow = event(1, int(AHEAD.total_seconds() / 60) - 1), event(2, 24 * 60)
    taken = memory.take(each.encoded() for each in (tomorrow, soon))
    assert taken == [soon]
    assert memory.newest == soon.known
    assert memory.counts == {"early": 1, "taken": 1}


def test_what_cannot_be_read_is_counted_and_stops_nothing() -> None:
    memory = Memory(HORIZON, NOW)
    assert memory.take([b"{", event(1, 1).encoded(), b"[]"]) == [event(1, 1)]
    assert memory.counts == {"broken": 2, "taken": 1}
