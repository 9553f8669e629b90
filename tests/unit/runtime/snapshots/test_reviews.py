from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlplat.bundle import Band, Column, Contract
from mlplat.errors import StateError, UsageError
from mlplat.runtime.snapshots import commands, erasure, holders, reviews
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.reviews import Answer, Reviews
from mlplat.runtime.snapshots.tombstones import Tombstones
from mlplat.serving.columns import Schema
from mlplat.serving.model import Model
from mlplat.serving.parts import Parts, Privacy
from mlplat.serving.predictionlog import Chunk

NOW = datetime(2013, 6, 2, 12, tzinfo=UTC)
COLUMNS = (Column(name="who", type="long"), Column(name="text", type="string", nullable=True))
CONTRACT: dict[str, Any] = {"project": "tests", "model": "late", "task": "binary", "columns": COLUMNS}


class Unasked:
    form = "columns"

    def score(self, columns: Any) -> Any:
        raise AssertionError(columns)


def log(folder: Path, endpoint: str, scores: list[float], **contract: Any) -> None:
    """Write a part as a model server does, a row a minute, of a model that abstains between .4 and .6."""
    contract = CONTRACT | {"classes": (0, 1), "abstain": Band(low=0.4, high=0.6)} | contract
    model = Model(Path(), "sha256:0", Contract(**contract), Schema(COLUMNS), Unasked())
    project = endpoint.partition("/")[0]
    origin = {"endpoint": endpoint, "revision": "r1", "model": f"{project}/late", "version": "3", "digest": "d"}
    parts = Parts(folder / endpoint.replace("/", ".") / "r1", model, origin, 10**9, None, Privacy())
    rows = [{"who": place, "text": None if place % 2 else f"=t{place}"} for place in range(len(scores))]
    columns = model.schema.from_rows(rows)
    chunk = Chunk(columns, parts.kept)
    for place, score in enumerate(scores):
        one = {name: values[place : place + 1] for name, values in columns.items()}
        moment = 1_370_000_000_000_000 + place * 60_000_000
        chunk.add(moment, b"request", one, np.array([score]), 0)
    parts.write([chunk])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return logs of this project's endpoint and of another one's, in which three of five rows got no label here."""
    log(tmp_path / "log", "tests/late", [0.1, 0.45, 0.6, 0.4, 0.5])
    log(tmp_path / "log", "tests-eu/late", [0.5])
    log(tmp_path / "log", "tests/other", [0.5], abstain=None)
    return tmp_path / "log"


@pytest.fixture
def ask(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("MLPLAT_CLOCK", NOW.isoformat())
    return lambda verb, **more: commands.answer(
        tmp_path, {"verb": verb, "project": "tests", "log": str(folder), **more}
    )


def label(ask: Callable[..., Any], answer: str, value: str, note: str = "") -> Any:
    return ask("label", labels=[{"id": answer, "label": value, "note": note}])


def test_what_got_no_label_waits_until_it_is_labelled(ask: Callable[..., Any]) -> None:
    waiting = ask("review")["waiting"]
    assert [(each["row"], each["probability"]) for each in waiting] == [
        ({"who": 1, "text": None}, 0.45),
        ({"who": 3, "text": None}, 0.4),
        ({"who": 4, "text": "=t4"}, 0.5),
    ]
    assert {each["endpoint"] for each in waiting} == {"tests/late"}, "not another project's whose name begins alike"
    assert waiting[0]["time"] == "2013-05-31T11:34:20+00:00"
    assert json.loads(json.dumps(waiting)) == [{**each, "classes": [0, 1]} for each in waiting]
    assert label(ask, waiting[1]["id"], "1") == {"labelled": 1, "unchanged": 0}
    told = ask("review")
    assert [each["id"] for each in told["waiting"]] == [waiting[0]["id"], waiting[2]["id"]]
    assert [(each["answer"]["id"], each["labels"][0]["value"]) for each in told["labelled"]] == [(waiting[1]["id"], 1)]


def test_a_label_given_twice_is_one_and_a_correction_counts_beside_what_it_corrects(
    ask: Callable[..., Any], place: Place
) -> None:
    answer = ask("review")["waiting"][0]["id"]
    assert [label(ask, answer, value)["labelled"] for value in ("1", "1", "0", "1")] == [1, 0, 1, 1]
    (found,) = Reviews(place).all()
    assert [each.value for each in found.labels] == [1, 0, 1]
    assert found.value == 1
    assert label(ask, answer, "1", "asked the crew")["labelled"] == 1, "a note is worth keeping"


def test_a_labelled_answer_can_be_corrected_when_its_log_is_gone(ask: Callable[..., Any], folder: Path) -> None:
    answer = ask("review")["waiting"][0]["id"]
    label(ask, answer, "1")
    for path in folder.rglob("*.parquet"):
        path.unlink()
    assert label(ask, answer, "0")["labelled"] == 1
    assert ask("review")["labelled"][0]["answer"]["row"] == {"who": 1, "text": None}


def test_of_labels_of_which_one_cannot_be_none_is_taken(ask: Callable[..., Any]) -> None:
    first, second, _ = (each["id"] for each in ask("review")["waiting"])
    good = {"id": first, "label": "1"}
    for bad, said in (
        ({"id": second, "label": "2"}, "`2` is no label of this model"),
        ({"id": "nowhere", "label": "1"}, "there is no answer `nowhere`"),
        ({"id": first, "label": "0"}, "is given two labels"),
    ):
        with pytest.raises(UsageError, match=said):
            ask("label", labels=[good, bad])
        assert ask("review")["labelled"] == []


@pytest.mark.parametrize(
    ("typed", "classes", "value"),
    [
        ("1", (0, 1), 1),
        ("True", (False, True), True),
        ("false", (False, True), False),
        ("Late", ("Late", "late"), "Late"),
    ],
)
def test_a_class_is_read_as_a_person_types_it(typed: str, classes: tuple[Any, ...], value: Any) -> None:
    found = reviews.read_class(f" {typed} ", classes)
    assert (found, type(found)) == (value, type(value))


def test_a_label_that_somebody_changed_is_not_believed(ask: Callable[..., Any], place: Place) -> None:
    label(ask, ask("review")["waiting"][0]["id"], "1")
    (name,) = Reviews(place).names()
    place.write(name, place.read(name).replace(b'"value": 1', b'"value": 0'))
    with pytest.raises(StateError, match="is not what was written"):
        ask("review")


def test_two_people_who_label_at_once_lose_nothing(place: Place) -> None:
    """Both have read the queue before either wrote."""
    answer = Answer("a", "e", "r1", "tests/late", "3", "d", NOW.isoformat(), 0.5, (0, 1), {"who": 1})
    for value in (1, 0):
        assert Reviews(place).label(answer, value, note="", now=NOW, known=None)
    (found,) = Reviews(place).all()
    assert sorted(map(str, (each.value for each in found.labels))) == ["0", "1"]


def test_an_erased_entity_waits_no_more_and_its_labels_are_gone(
    ask: Callable[..., Any], tmp_path: Path, folder: Path, place: Place
) -> None:
    before = ask("review")["waiting"]
    for each in before[:2]:
        label(ask, each["id"], "1")
    found = holders.of(tmp_path, "tests", log=str(folder), log_key=None, features=None)
    made = erasure.erase(found, Tombstones(place), "who", "3", reason="asked", now=NOW, versions=[])
    assert {held.holder for held in made.held} == {"prediction log", "review"}
    assert erasure.plan(found, "who", "3") == ([], [])
    told = ask("review")
    assert [each["answer"]["row"]["who"] for each in told["labelled"]] == [1]
    # What is left is named as it was: its part was written again without the others.
    assert [each["id"] for each in told["waiting"]] == [before[2]["id"]]


def test_a_damaged_part_is_named(ask: Callable[..., Any], folder: Path) -> None:
    (folder / "tests.late/r1/9.parquet").write_bytes(b"no part")
    with pytest.raises(StateError, match=r"9\.parquet: is no whole part"):
        ask("review")


def test_labels_lie_in_a_bucket_as_well(in_bucket: str, ask: Callable[..., Any]) -> None:
    label(ask, ask("review")["waiting"][0]["id"], "1")
    assert Reviews(Place(in_bucket)).all()[0].value == 1


def test_frames_are_not_needed_to_list(ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pd, "DataFrame", None)
    assert len(ask("review")["waiting"]) == 3
