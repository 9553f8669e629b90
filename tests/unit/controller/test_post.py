from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlplat.controller.alarms import Seen
from mlplat.controller.errands import Errands
from mlplat.controller.post import MESSAGES, MOST, PAUSES, Post, known
from mlplat.controller.store import SqliteStore
from mlplat.errors import MlplatError, RefusedError, UnreachableError

NOW = datetime(2013, 7, 1, tzinfo=UTC)
WHERE = Path("/webhook")
QUIET = Seen((), {}, {}, {})


def failing(*flows: str) -> Seen:
    return Seen((), {}, {}, {("flights", flow): "it failed" for flow in flows})


@dataclass
class Receiver:
    """What was delivered, as a receiver takes it."""

    taken: list[tuple[str, str]] = field(default_factory=list)
    """Message and status."""
    error: MlplatError | None = None
    tries: list[str] = field(default_factory=list)

    def send(self, path: Path, body: Mapping[str, Any], name: str) -> None:
        assert path == WHERE
        self.tries.append(name)
        if self.error:
            raise self.error
        (alert,) = body["alerts"]
        self.taken.append((alert["labels"]["flow"], alert["status"]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "endpoints.db") as opened:
        yield opened


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def started(store: SqliteStore, receiver: Receiver, clock: list[float] | None = None) -> Post:
    now = clock or [1000.0]
    return Post(store, Errands(start=lambda call: call()), receiver.send, lambda: now[0])


def delivered(post: Post) -> None:
    for _ in range(10):
        post.deliver(WHERE)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    told = (record.getMessage() for record in caplog.records)
    return [json.loads(line.removeprefix("alert: ")) for line in told if line.startswith("alert: ")]


def test_a_beginning_and_an_end_are_told_once_each(
    store: SqliteStore, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    post = started(store, receiver)
    for seen in (QUIET, failing("monitor"), failing("monitor"), QUIET, QUIET):
        post.tell(seen, NOW, WHERE)
        delivered(post)
    assert receiver.taken == [("monitor", "firing"), ("monitor", "resolved")]
    assert [(each["alertname"], each["flow"], each["state"]) for each in lines(caplog)] == [
        ("ScheduledRunFailed", "monitor", "firing"),
        ("ScheduledRunFailed", "monitor", "resolved"),
    ]
    assert (known(store), store.notes(MESSAGES)) == ([], {})


def test_a_controller_that_begins_anew_tells_nothing_twice_and_forgets_nothing(
    store: SqliteStore, receiver: Receiver
) -> None:
    receiver.error = UnreachableError("it is away")
    first = started(store, receiver)
    first.tell(failing("monitor"), NOW, WHERE)
    first.deliver(WHERE)
    receiver.error = None
    again = started(store, receiver)
    again.tell(failing("monitor"), NOW + timedelta(days=1), WHERE)
    (key, text), = store.notes(MESSAGES).items()  # fmt: skip
    store.note({(MESSAGES, key): json.dumps({**json.loads(text), "not_before": 0})})
    delivered(started(store, receiver))
    assert receiver.taken == [("monitor", "firing")]
    # The same name at each try: so a receiver that had taken it and could not say so knows it.
    assert len(set(receiver.tries)) == 1
    assert len(receiver.tries) == 2
    assert [each.since for each in known(store)] == [NOW]


def test_messages_keep_their_order_past_a_receiver_that_is_away(store: SqliteStore, receiver: Receiver) -> None:
    clock = [1000.0]
    post = started(store, receiver, clock)
    receiver.error = UnreachableError("it is away")
    for seen in (failing("monitor"), QUIET, failing("monitor", "train"), failing("train")):
        post.tell(seen, NOW, WHERE)
        delivered(post)
    assert len(receiver.tries) == 1
    receiver.error = None
    clock[0] += PAUSES[0] + 1
    delivered(post)
    assert receiver.taken == [
        ("monitor", "firing"), ("monitor", "resolved"), ("monitor", "firing"), ("train", "firing"),
        ("monitor", "resolved"),
    ]  # fmt: skip


@pytest.mark.parametrize(("error", "tries"), [(UnreachableError, len(PAUSES) + 1), (RefusedError, 1)])
def test_a_message_that_nobody_takes_is_given_up_in_the_end(
    store: SqliteStore,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    error: type[MlplatError],
    tries: int,
) -> None:
    clock = [1000.0]
    receiver.error = error("no")
    post = started(store, receiver, clock)
    post.tell(failing("monitor"), NOW, WHERE)
    for _ in range(100):
        post.deliver(WHERE)
        clock[0] += max(PAUSES) + 1
    assert len(receiver.tries) == tries
    assert store.notes(MESSAGES) == {}
    assert sum("given up" in record.message for record in caplog.records) == 1
    assert 20 * 3600 < sum(PAUSES) < 30 * 3600


def test_a_computers_clock_that_was_set_back_holds_nothing_up_for_long(store: SqliteStore, receiver: Receiver) -> None:
    receiver.error = UnreachableError("it is away")
    clock = [1e9]
    post = started(store, receiver, clock)
    post.tell(failing("monitor"), NOW, WHERE)
    post.deliver(WHERE)
    receiver.error = None
    clock[0] -= 10 * 86_400
    delivered(post)
    assert receiver.taken == [("monitor", "firing")]


def test_without_a_webhook_the_log_is_told_and_a_later_one_hears_of_what_lasts(
    store: SqliteStore, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    post = started(store, receiver)
    post.tell(failing("monitor", "train"), NOW, None)
    post.tell(failing("monitor"), NOW, None)
    post.deliver(None)
    assert store.notes(MESSAGES) == {}
    post.tell(failing("monitor"), NOW, WHERE)
    delivered(post)
    assert receiver.taken == [("monitor", "firing")]
    assert [each["state"] for each in lines(caplog)] == ["firing", "firing", "resolved"]


def test_what_waits_is_bounded_and_the_newest_stays(store: SqliteStore, receiver: Receiver) -> None:
    post = started(store, receiver)
    for number in range(MOST // 2 + 5):
        post.tell(failing(f"flow-{number}"), NOW, WHERE)
    kept = store.notes(MESSAGES)
    assert len(kept) == MOST
    newest = json.loads(kept[max(kept)])["body"]["alerts"][0]
    assert newest["labels"]["flow"] == f"flow-{MOST // 2 + 4}"


def test_sending_never_waits_for_the_receiver(store: SqliteStore, receiver: Receiver) -> None:
    calls: list[object] = []
    post = Post(store, Errands(start=calls.append), receiver.send)
    post.tell(failing("monitor"), NOW, WHERE)
    delivered(post)
    assert len(calls) == 1
    assert receiver.tries == []
