from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlplat.controller.decision import decide
from mlplat.controller.document import Rollout, Status
from mlplat.controller.store import SqliteStore
from mlplat.controller.window import Window
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy

if TYPE_CHECKING:
    from .conftest import Endpoints

LATE = Name("flights", "late")


def rolling(endpoints: Endpoints) -> Status:
    first = endpoints.serving().revisions[0]
    second = first.model_copy(update={"number": 2, "version": "2"})
    buckets = ((5.0, 0), (10.0, 900), (20.0, 900))
    old = Window(requests=900, timed=900, buckets=buckets)
    new = Window(requests=100, errors=1, timed=100, buckets=((5.0, 0), (10.0, 100), (20.0, 100)))
    judgement = decide(old, new, RolloutPolicy(), 10.0)
    rollout = Rollout(step=0, started=0, champion=old, challenger=new, judgement=judgement)
    changes = {"phase": "rolling", "challenger": 2, "weight": 10, "revisions": (first, second), "rollout": rollout}
    return endpoints.serving(message=judgement.reason, **changes)


def test_status_shows_steps_weight_and_both_sides_with_intervals(endpoints: Endpoints) -> None:
    endpoints.deployed(rolling(endpoints))
    shown = endpoints.run("rollout", "status", "flights/late").stdout
    for text in ("[10] → 50 → 100 %", "10 % to the challenger", "1 (r1)", "2 (r2)", "900", "5 … 10 ms", "1.00 %"):
        assert text in shown, text
    document = json.loads(endpoints.run("rollout", "status", "flights/late", "--json").stdout)
    assert document["weight"] == 10
    assert document["rollout"]["judgement"]["figures"]["challenger_errors"] == 1


def test_status_without_a_rollout_is_short(endpoints: Endpoints) -> None:
    endpoints.deployed()
    assert "ERROR SHARE" not in endpoints.run("rollout", "status", "flights/late").stdout


@pytest.mark.parametrize(("verb", "revision"), [("promote", 2), ("abort", 1)])
def test_a_decision_names_the_revision_that_is_to_serve(endpoints: Endpoints, verb: str, revision: int) -> None:
    endpoints.deployed(rolling(endpoints))
    result = endpoints.run("rollout", verb, "flights/late", "--reason", "a drill", "--no-wait")
    assert result.exit_code == 0
    with SqliteStore(endpoints.path) as store:
        found = store.get(LATE)
    assert found is not None
    assert (found.spec.action, found.spec.revision, found.spec.reason) == (verb, revision, "a drill")


@pytest.mark.parametrize(
    ("verb", "phase", "code"), [("abort", "aborted", 0), ("promote", "baking", 0), ("promote", "refused", 1)]
)
def test_a_decision_is_watched_to_its_end(endpoints: Endpoints, verb: str, phase: str, code: int) -> None:
    endpoints.deployed(rolling(endpoints))
    endpoints.answer(lambda status: status.model_copy(update={"phase": phase}))
    assert endpoints.run("rollout", verb, "flights/late").exit_code == code


@pytest.mark.parametrize("verb", ["promote", "abort"])
def test_there_is_nothing_to_decide_without_a_rollout(endpoints: Endpoints, verb: str) -> None:
    endpoints.deployed()
    result = endpoints.run("rollout", verb, "flights/late")
    assert result.exit_code == 1
    assert "has no rollout to" in str(result.exception)


def test_history_is_printed_oldest_first(endpoints: Endpoints) -> None:
    endpoints.deployed()
    lines = endpoints.run("rollout", "history", "flights/late").stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["wished", "promoted"]
    events = json.loads(endpoints.run("rollout", "history", "flights/late", "--json").stdout)
    assert [event["kind"] for event in events] == ["wished", "promoted"]


def test_an_endpoint_that_never_was_has_no_history(endpoints: Endpoints) -> None:
    assert endpoints.run("rollout", "history", "flights/none").exit_code == 1
