"""What holds for each service's documents holds for those of whole stacks, as the engine would send them."""

from __future__ import annotations

import pytest

import clusterprogram
import workloads
from workloadrules import SERVICE, broken
from workloads import Document


def of_services(documents: list[Document]) -> list[Document]:
    """Return those documents that services became."""
    return [each for each in documents if SERVICE in each["metadata"].get("labels", {})]


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_services_of_a_stack_break_no_rule(stack: str) -> None:
    found = of_services(clusterprogram.documents(clusterprogram.graph(stack)))
    assert {each["metadata"]["labels"][SERVICE] for each in found} >= {"tracking", "features", "controller"}
    assert broken(found, production=True) == []


def test_services_of_a_stack_that_stands_on_nothing_break_none_either() -> None:
    found = of_services(clusterprogram.documents(clusterprogram.of(workloads.spec(), "staging")))
    assert {each["metadata"]["labels"][SERVICE] for each in found} >= {"database", "objects", "tracking"}
    assert broken(found) == []
