from __future__ import annotations

import copy
from typing import Any

import pytest

from mlplat.errors import SpecError
from mlplat.spec import migrations
from mlplat.spec.migrations import PLATFORM, Chain, newest, refuse_newer, upgrade, upgraded, version_of


def rename(old: str, new: str) -> migrations.Migration:
    def step(data: migrations.Map) -> None:
        if old in data:
            migrations.replace_key(data, old, new)

    return step


LETTERS: Chain = (rename("a", "b"), rename("b", "c"), rename("c", "d"))
LOG = {"rows_per_part": 3, "keep_megabytes": 7, "enabled": True}

PLATFORMS: list[tuple[Any, Any]] = [
    ({"version": 1}, {"version": 2}),
    (
        {"version": 1, "serving": {"prediction_log": LOG}},
        {
            "version": 2,
            "serving": {"prediction_log": {"rows_per_part": 3, "retention": {"megabytes": 7}, "enabled": True}},
        },
    ),
    (
        {"serving": {"prediction_log": {"keep_megabytes": 7}}},
        {"version": 2, "serving": {"prediction_log": {"retention": {"megabytes": 7}}}},
    ),
    # What the new form cannot hold is still there to be refused, under the name that was written where two collide.
    (
        {"version": 1, "serving": {"prediction_log": {"keep_megabytes": "many"}}},
        {"version": 2, "serving": {"prediction_log": {"retention": {"megabytes": "many"}}}},
    ),
    (
        {"version": 1, "serving": {"prediction_log": {"keep_megabytes": 7, "retention": {"days": 3}}}},
        {"version": 2, "serving": {"prediction_log": {"keep_megabytes": 7, "retention": {"days": 3}}}},
    ),
    ({"version": 1, "serving": None}, {"version": 2, "serving": None}),
    ({"version": 1, "serving": {"prediction_log": [1]}}, {"version": 2, "serving": {"prediction_log": [1]}}),
]


@pytest.mark.parametrize(("old", "new"), PLATFORMS, ids=str)
def test_an_older_platform_is_read_in_the_newest_form(old: Any, new: Any) -> None:
    before = copy.deepcopy(old)
    assert upgraded(old, PLATFORM) == new
    assert list(upgraded(old, PLATFORM)) == list(new)
    assert old == before


@pytest.mark.parametrize("new", [new for _, new in PLATFORMS], ids=str)
def test_a_document_in_the_newest_form_is_itself(new: Any) -> None:
    assert upgraded(new, PLATFORM) is new
    assert upgrade(copy.deepcopy(new), PLATFORM) is False


@pytest.mark.parametrize(
    "data",
    [{}, {"name": "x"}, None, [], "text", {"version": "1"}, {"version": True}, {"version": None}, {"version": 0}],
    ids=str,
)
def test_what_needs_no_change_or_is_no_document_is_left_to_the_spec(data: Any) -> None:
    before = copy.deepcopy(data)
    assert upgraded(data, PLATFORM) is data
    assert data == before


@pytest.mark.parametrize(
    "start",
    [{"version": 1, "a": 5}, {"version": 2, "b": 5}, {"version": 3, "c": 5}, {"a": 5}, {"b": 5}],
    ids=str,
)
def test_a_chain_starts_at_the_version_that_is_written_and_goes_to_its_end(start: dict[str, Any]) -> None:
    assert upgraded(start, LETTERS) == {"version": 4, "d": 5}


def test_a_chain_does_not_run_a_step_that_is_behind() -> None:
    assert upgraded({"version": 2, "a": 5}, LETTERS) == {"version": 4, "a": 5}


@pytest.mark.parametrize("chain", [PLATFORM, LETTERS, ()], ids=len)
def test_a_newer_document_is_refused_and_the_newest_is_not(chain: Chain) -> None:
    refuse_newer({"version": newest(chain)}, chain, "x.yaml")
    with pytest.raises(SpecError, match=rf"x\.yaml: version: is {newest(chain) + 1}, and this mlplat knows") as caught:
        refuse_newer({"version": newest(chain) + 1}, chain, "x.yaml")
    assert caught.value.hint == "use a newer mlplat"
    assert version_of({}, chain) == 1
