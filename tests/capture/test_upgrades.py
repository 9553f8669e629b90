"""What a program tells of its versions is what its resources say, and another one of each is understood."""

from __future__ import annotations

from capture import Graph
from mlplat import upgrades
from mlplat.upgrades.parts import UNMADE
from mlplat.upgrades.ways import way


def test_a_stack_tells_the_versions_of_its_resources(graph: Graph) -> None:
    told = graph.exports[upgrades.OUTPUT]
    # The resources are as the engine keeps them; the program has seen them before, by Python's names.
    made = upgrades.installed((each.type, each.inputs) for each in graph)
    assert made == {part: version for part, version in told.items() if part not in UNMADE}
    assert all(map(way, told))
