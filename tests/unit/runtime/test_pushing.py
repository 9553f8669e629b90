"""Pushing on and on: nothing is lost by a server that is away, and whoever asks for the end gets it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.contracts import Connection
from mlplat.errors import RefusedError, StateError, UnreachableError
from mlplat.runtime import pushing
from mlplat.runtime.online import Pushed
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
NOW = pd.Timestamp("2013-07-01T12:00Z")


@dataclass
class Server:
    """A feature server that keeps what is pushed, and knows only some groups and columns."""

    known: dict[str, set[str]]
    pushed: list[tuple[str, list[str]]] = field(default_factory=list)

    def push(self, group: str, rows: pd.DataFrame, **_: Any) -> Pushed:
        if group not in self.known:
            raise RefusedError(f"there is no `{group}`")
        self.pushed.append((group, list(rows.columns)))
        return Pushed(len(rows), 0, frozenset(rows.columns) - self.known[group])


def test_what_no_version_looks_up_yet_keeps_nothing_else_from_being_pushed(make_spec: MakeSpec) -> None:
    groups = {
        name: {"columns": [name, f"{name}_new"], "online": {"keys": ["origin"], "ttl_minutes": 5}} for name in "ab"
    }
    spec = make_spec(data__features={**groups, "c": {"columns": ["c"]}})
    tables = {
        name: pd.DataFrame({"origin": ["EWR"], name: [1.0], f"{name}_new": 2.0, "observed": NOW, "other": 1})
        for name in "abc"
    }
    server, said = Server({"b": {"origin", "b", "observed"}}), list[str]()
    assert pushing.push(server, spec, tables, said.append) == {"b": 1}  # type: ignore[arg-type]  # it quacks
    assert server.pushed == [("b", ["origin", "b", "b_new", "observed"])]
    assert said == [
        "`a` is not pushed: there is no `a`",
        "`b` is pushed without b_new: no version looks them up yet",
    ]


@given(silence=st.integers(-60, 2000), quiet=st.integers(1, 1000))
def test_values_are_of_now_unless_the_stream_was_silent_for_too_long(silence: int, quiet: int) -> None:
    newest = NOW - pd.Timedelta(minutes=silence)
    found = pushing.seen(NOW, newest, quiet)
    assert found == (NOW if silence <= quiet else newest)
    assert found <= max(NOW, newest)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_while_the_server_is_away_and_ends_when_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(pushing, "PAUSE", 0.001)
    happens = iter(["pushed", "away", "away", "pushed", "end"])
    done: list[str] = []

    def step() -> None:
        what = next(happens)
        if what == "away":
            raise UnreachableError("it does not answer")
        done.append(what)
        if what == "end":
            os.kill(os.getpid(), number)

    said: list[str] = []
    before = signal.getsignal(number)
    pushing.repeat(step, every=0.001, say=said.append)
    assert done == ["pushed", "pushed", "end"]
    assert said == ["it does not answer; it is asked again", "the feature server is back"]
    assert signal.getsignal(number) == before


def test_what_is_no_matter_of_the_server_ends_it() -> None:
    def step() -> None:
        raise StateError("the stream is damaged")

    with pytest.raises(StateError, match="damaged"):
        pushing.repeat(step, every=0.001, say=print)


def test_values_are_old_or_new_by_the_platforms_clock(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    Connection("mlplat", "local", "local", "", "", "", clock="2013-07-01T12:00:00+00:00").write()
    assert abs(pushing.clock_of(make_spec()).now() - NOW.to_pydatetime()).total_seconds() < 60
    monkeypatch.setenv("MLPLAT_CLOCK", "2014-07-01T12:00:00+00:00")
    assert pushing.clock_of(make_spec()).now().year == 2014
