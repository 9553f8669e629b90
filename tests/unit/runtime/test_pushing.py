"""Pushing on and on: nothing is lost by a server that is away, and whoever asks for the end gets it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.bundle import Column, Contract, LookUp
from mlplat.contracts import Connection
from mlplat.errors import RefusedError, StateError, UnreachableError
from mlplat.runtime import pushing, retelling
from mlplat.runtime.online import Pushed, UntoldError
from mlplat.runtime.pushing import OBSERVED
from mlplat.runtime.snapshots import erasure
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.tombstones import Tombstones
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
NOW = pd.Timestamp("2013-07-01T12:00Z")


@dataclass
class Server:
    """A feature server that keeps what is pushed, and knows only some groups and columns."""

    known: dict[str, set[str]]
    pushed: list[tuple[str, list[str]]] = field(default_factory=list)
    rows: list[pd.DataFrame] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def push(self, group: str, rows: pd.DataFrame, **_: Any) -> Pushed:
        if group not in self.known:
            raise UntoldError(f"there is no `{group}`")
        self.pushed.append((group, list(rows.columns)))
        self.rows.append(rows)
        return Pushed(len(rows), 0, frozenset(rows.columns) - self.known[group])

    def define(self, contract: Contract) -> bool:
        for each in contract.lookups:
            if each.group == "odd":
                raise RefusedError("`odd` is looked up otherwise")
            self.known.setdefault(each.group, {"origin", OBSERVED}).update(each.columns)
        self.told.append(contract.features)
        return False


def version(features: str, **groups: str) -> Contract:
    """Return the contract of a version that looks up a column of each group."""
    key = Column(name="origin", type="string")
    found = tuple(LookUp(group=name, keys=(key,), columns=(column,), ttl_seconds=60) for name, column in groups.items())
    return Contract(project="p", model="late", task="binary", columns=(), features=features, lookups=found)


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> list[Contract]:
    """Return what the registry has, the newest first. A real one is asked in tests/e2e."""
    known: list[Contract] = []
    monkeypatch.setattr(retelling, "_contracts", lambda *_: iter(known))
    return known


def pushed(server: Server, spec: ProjectSpec, said: list[str], project: Path) -> dict[str, int]:
    groups = {name: group.columns[0] for name, group in spec.data.online.items()}
    tables = {
        name: pd.DataFrame({"origin": ["EWR", "JFK"], column: [1.0, 2.0], OBSERVED: NOW})
        for name, column in groups.items()
    }
    return pushing.push(server, spec, tables, said.append, project=project)  # type: ignore[arg-type]  # it quacks


@pytest.fixture
def spec(make_spec: MakeSpec) -> ProjectSpec:
    """Return one with two groups that are looked up."""
    groups = {name: {"columns": [name], "online": {"keys": ["origin"], "ttl_minutes": 5}} for name in "ab"}
    return make_spec(data__features=groups)


def test_an_erased_entity_is_not_pushed_whatever_the_source_says(spec: ProjectSpec, tmp_path: Path) -> None:
    server = Server({"a": set(), "b": set()})
    assert pushed(server, spec, [], tmp_path) == {"a": 2, "b": 2}
    place = Place.of(tmp_path)
    erasure.erase([], Tombstones(place), "origin", "JFK", reason="asked", now=NOW.to_pydatetime(), versions=[])
    assert pushed(server, spec, [], tmp_path) == {"a": 1, "b": 1}
    assert [list(rows["origin"]) for rows in server.rows[2:]] == [["EWR"], ["EWR"]]


def test_a_server_that_lost_what_it_was_told_is_told_of_every_version_once(
    spec: ProjectSpec, versions: list[Contract], tmp_path: Path
) -> None:
    versions += [version("new", a="a", b="b"), version("odd", odd="o"), version("old", a="was")]
    server, said = Server({}), list[str]()
    assert pushed(server, spec, said, tmp_path) == {"a": 2, "b": 2}
    assert server.told == ["new", "old"]
    assert [each.partition(":")[0] for each in said] == [
        "`odd` is not told again",
        "the feature server knew nothing of `a`, and was told again",
    ]


def test_a_server_is_told_nothing_where_no_version_looks_the_group_up(
    spec: ProjectSpec, versions: list[Contract], tmp_path: Path
) -> None:
    versions += [version("old", a="a")]
    server, said = Server({"a": {"origin", "a", OBSERVED}}), list[str]()
    assert pushed(server, spec, said, tmp_path) == {"a": 2}
    assert (server.told, said) == ([], ["`b` is not pushed: there is no `b`"])


def test_a_registry_that_is_away_keeps_no_group_from_being_pushed(spec: ProjectSpec, tmp_path: Path) -> None:
    """Nobody knows this platform, and so its registry neither."""
    server, said = Server({"b": {"origin", "b", OBSERVED}}), list[str]()
    assert pushed(server, spec, said, tmp_path) == {"b": 2}
    assert said[0].startswith("whether a version looks `a` up is not known: no platform `mlplat`")
    assert said[1] == "`a` is not pushed: there is no `a`"


@pytest.mark.usefixtures("versions")
def test_what_no_version_looks_up_yet_keeps_nothing_else_from_being_pushed(make_spec: MakeSpec, tmp_path: Path) -> None:
    groups = {
        name: {"columns": [name, f"{name}_new"], "online": {"keys": ["origin"], "ttl_minutes": 5}} for name in "ab"
    }
    spec = make_spec(data__features={**groups, "c": {"columns": ["c"]}})
    tables = {
        name: pd.DataFrame({"origin": ["EWR"], name: [1.0], f"{name}_new": 2.0, "observed": NOW, "other": 1})
        for name in "abc"
    }
    server, said = Server({"b": {"origin", "b", "observed"}}), list[str]()
    told = pushing.push(server, spec, tables, said.append, project=tmp_path)  # type: ignore[arg-type]  # it quacks
    assert told == {"b": 1}
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
