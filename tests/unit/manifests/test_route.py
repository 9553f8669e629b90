from __future__ import annotations

import re

import pytest

import crds
from mlplat.controller.kubernetes.routes import COUNTERS
from mlplat.labels import Name
from mlplat.manifests import names, route
from mlplat.manifests.route import Backend, Treatment
from mlplat.watching import gateway

LATE = Name("flights", "late")


@pytest.mark.parametrize(
    ("before", "present", "after"),
    [
        ([], [], []),
        ([], ["r1"], ["r1"]),
        (["r1"], ["r1", "r2"], ["r1", "r2"]),
        (["r1", "r2"], ["r2"], ["r2", "r2"]),
        (["r1", "r2"], ["r1"], ["r1"]),
        (["r2", "r2"], ["r2", "r3"], ["r3", "r2"]),
        (["r1", "r2"], ["r2", "r3"], ["r3", "r2"]),
        (["r0", "r1", "r2"], ["r1", "r2"], ["r2", "r1", "r2"]),
        (["r2", "r1", "r2"], ["r1", "r2", "r3"], ["r3", "r1", "r2"]),
        (["r2", "r1", "r2"], ["r1"], ["r1", "r1"]),
        (["r1", "r2"], [], []),
    ],
)
def test_a_revision_keeps_its_place(before: list[str], present: list[str], after: list[str]) -> None:
    assert route.places(before, present) == after


def test_a_place_never_moves_while_its_revision_has_traffic() -> None:
    order: list[str] = []
    had: dict[str, int] = {}
    for present in (["r1"], ["r1", "r2"], ["r2"], ["r2", "r3"], ["r2", "r4"], ["r4"], ["r4", "r5"], ["r5"]):
        order = route.places(order, present)
        listed = route.backends(order, dict.fromkeys(present, 10))
        has = {each.revision: place for place, each in enumerate(listed) if each.weight}
        assert has.keys() == set(present)
        assert {each: had[each] for each in present if each in had} == {
            each: has[each] for each in present if each in had
        }
        had = has


def test_a_route_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="a route holds 16 revisions"):
        route.places([], [f"r{number}" for number in range(17)])


def test_both_objects_pass_their_schemas_and_each_backend_has_a_filter_of_its_own() -> None:
    listed = [Backend("r1", 90), Backend("r2", 10)]
    treatment = Treatment("late.example.com", 64, 100)
    found, policy = route.documents(LATE, "team-a", listed, treatment, mirror=("r3", 20))
    assert [*crds.problems(found), *crds.problems(policy)] == []
    weighted, explaining, *chosen = found["spec"]["rules"]
    for rule in (weighted, explaining):
        assert [each["filters"][0]["requestHeaderModifier"]["set"][0]["value"] for each in rule["backendRefs"]] == [
            "r1",
            "r2",
        ]
    assert [rule["matches"][0]["headers"][0]["value"] for rule in chosen] == ["r1", "r1", "r2", "r2"]
    assert policy["spec"]["targetRefs"][0]["name"] == found["metadata"]["name"]


@pytest.mark.parametrize("shares", [(100,), (90, 10)])
def test_explanations_have_the_odd_rules_of_which_nothing_is_read(shares: tuple[int, ...]) -> None:
    listed = [Backend(f"r{place}", weight) for place, weight in enumerate(shares)]
    rules = route.documents(LATE, "team-a", listed, Treatment(), mirror=("r9", 20))[0]["spec"]["rules"]
    read = re.compile(gateway.CLUSTERS)
    for place, rule in enumerate(rules):
        is_explaining = rule["matches"][0]["path"]["value"].endswith("/explain")
        assert is_explaining == bool(place % 2)
        rewritten = rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"]
        assert rewritten == ("/explain" if is_explaining else "/")
        counted = route.cluster("team-a", LATE, 0).replace("/rule/0/", f"/rule/{place}/")
        assert bool(read.fullmatch(counted)) != is_explaining
        stat = f"cluster.{counted}.upstream_rq_2xx"
        assert bool(re.search(COUNTERS, stat)) == (place == 0)
    # Nobody looks at a copy's answer, and an explanation is no small thing to make for nobody.
    assert ["requestMirror" in str(rule["filters"]) for rule in rules] == [True] + [False] * (len(rules) - 1)


def test_only_connections_that_failed_are_tried_again() -> None:
    retry = route.documents(LATE, "team-a", [Backend("r1", 100)], Treatment())[1]["spec"]["retry"]
    assert retry["retryOn"] == {"triggers": ["connect-failure"]}


def test_a_route_of_one_revision_needs_no_choice() -> None:
    rules = route.documents(LATE, "team-a", [Backend("r1", 100)], Treatment())[0]["spec"]["rules"]
    assert [rule["name"] for rule in rules] == ["weights", "weights-explain"]


def test_names_that_envoy_counts_by_have_no_dot() -> None:
    assert "." not in route.cluster("team-a", LATE, 0)
    assert route.order({"spec": {"rules": [{"backendRefs": [{"name": names.revision(LATE, "r12")}]}]}}) == ["r12"]
