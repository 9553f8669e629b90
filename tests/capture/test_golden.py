"""The graphs of this repository's stacks are those that were reviewed."""

from __future__ import annotations

from collections import Counter

import pytest

import golden
from capture import Graph


@pytest.mark.parametrize("name", golden.GRAPHS)
def test_a_stacks_graph_is_the_reviewed_one(name: str) -> None:
    difference = golden.difference(name)
    assert not difference, f"if this is meant, `make golden` writes it:\n{difference}"


def test_no_reviewed_graph_is_of_a_stack_that_is_gone() -> None:
    assert {each.stem for each in golden.FOLDER.glob("*.json")} == {*golden.GRAPHS}


def test_no_two_resources_are_known_by_one_key(graph: Graph) -> None:
    """A capture knows resources by type and name, so a second of both would hide behind the first."""
    assert [key for key, count in Counter(each.key for each in graph).items() if count > 1] == []


def test_the_same_program_gives_the_same_text() -> None:
    first, second = (golden.text(golden.GRAPHS["prod-platform"]()) for _ in range(2))
    assert first == second
