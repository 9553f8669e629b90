from __future__ import annotations

import functools
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

import pytest

import awsprogram
import capture
import clusterprogram
import definitionfiles
from capture import Graph, Made
from mlplat import deployment
from mlplat.manifests import crd, names
from mlplat.program import run
from mlplat.services import Http, Service
from mlplat.spec.platform import KEY, PlatformSpec, parse_platform
from mlplat.targets.kubernetes import admission, guards, identity, images
from mlplat.targets.kubernetes.install import ordered

RELEASE = "kubernetes:helm.sh/v3:Release"
ENDPOINTS = f"{crd.PLURAL}.{names.GROUP}"
STACKS = ("staging", "dev")
SMALL = {
    "version": 2,
    "target": "kubernetes",
    "engine": {},
    "kubernetes": {
        "context": "here",
        "production": False,
        "addons": dict.fromkeys(
            ("gateway", "secrets", "autoscaling", "pipelines", "queues", "monitoring", "cost"), "off"
        ),
    },
    "teams": {"flights": {"projects": ["flights"]}},
}


def small(**kubernetes: Any) -> PlatformSpec:
    return parse_platform({**SMALL, "kubernetes": {**SMALL["kubernetes"], **kubernetes}}, "a test")  # type: ignore[dict-item]


@functools.cache
def graph(stack: str) -> Graph:
    return clusterprogram.of(small(), "small") if stack == "small" else clusterprogram.graph(stack)


@functools.cache
def ahead(stack: str) -> dict[str, frozenset[str]]:
    """Return by key all that has to be there before, so that it goes after."""
    found: dict[str, frozenset[str]] = {}
    direct = {each.key: {*each.depends_on, *filter(None, [each.parent])} for each in graph(stack)}
    for key in TopologicalSorter(direct).static_order():
        before = direct.get(key, set())
        found[key] = frozenset(before).union(*(found.get(each, frozenset()) for each in before))
    return found


def of(stack: str, kind: str, name: str | None = None, namespace: str | None = None) -> list[Made]:
    """Return the objects of a kind, by their own names."""
    return [
        each
        for each in graph(stack)
        if each.type.endswith(f":{kind}")
        and each.type.startswith("kubernetes:")
        and name in (None, each.inputs["metadata"]["name"])
        and namespace in (None, each.inputs["metadata"].get("namespace"))
    ]


def one(stack: str, kind: str, name: str | None = None, namespace: str | None = None) -> str:
    (found,) = of(stack, kind, name, namespace)
    return found.key


def release(stack: str, name: str) -> str:
    return graph(stack).one(RELEASE, name).key


def waits(stack: str, later: str, *earlier: str) -> list[str]:
    return [each for each in earlier if each not in ahead(stack)[later]]


def objects(stack: str) -> Iterator[Made]:
    return (each for each in graph(stack) if each.type.startswith("kubernetes:") and "metadata" in each.inputs)


@pytest.mark.parametrize("stack", [*STACKS, "small"])
def test_whatever_is_in_a_namespace_waits_for_it(stack: str) -> None:
    made = {each.inputs["metadata"]["name"]: each.key for each in of(stack, "Namespace")}
    for each in objects(stack):
        namespace = each.inputs["metadata"].get("namespace")
        if namespace in made:
            assert waits(stack, each.key, made[namespace]) == [], each.key
        else:
            assert namespace in (None, "kube-system"), each.key


@pytest.mark.parametrize("stack", [*STACKS, "small"])
def test_all_of_the_layer_waits_for_the_platforms_namespace_which_waits_for_all_below(stack: str) -> None:
    home = one(stack, "Namespace", names.NAMESPACE)
    (layer,) = graph(stack).of("mlplat:kubernetes:Layer")
    inside = [each.key for each in graph(stack) if layer.key in ahead(stack)[each.key] and each.custom]
    assert len(inside) > 20
    assert [each for each in inside if each != home and home not in ahead(stack)[each]] == []


@pytest.mark.parametrize("stack", STACKS)
def test_definitions_come_before_add_ons_and_those_before_the_gateway(stack: str) -> None:
    gateway = one(stack, "Gateway", names.GATEWAY)
    files = [each.key for each in of(stack, "CustomResourceDefinition") if each.inputs["metadata"]["name"] != ENDPOINTS]
    assert len(files) > 15
    assert waits(stack, release(stack, "gateway-helm"), *files) == []
    assert (
        waits(stack, gateway, release(stack, "gateway-helm"), one(stack, "EnvoyProxy"), one(stack, "GatewayClass"))
        == []
    )


@pytest.mark.parametrize("stack", STACKS)
def test_a_teams_namespace_goes_while_the_add_ons_that_hold_a_finalizer_in_it_still_run(stack: str) -> None:
    charts = [each.key for each in graph(stack).of(RELEASE)]
    for team in clusterprogram.spec(stack).teams:
        space = one(stack, "Namespace", team)
        assert (
            waits(stack, space, one(stack, "CustomResourceDefinition", ENDPOINTS), one(stack, "Gateway"), *charts) == []
        )


@pytest.mark.parametrize("stack", [*STACKS, "small"])
def test_the_controller_starts_when_it_may_look_into_every_teams_namespace(stack: str) -> None:
    """It is not ready before: were teams to wait for it, the first `up` would never end."""
    controller = one(stack, "Deployment", "controller")
    spec = small() if stack == "small" else clusterprogram.spec(stack)
    for space in (names.NAMESPACE, *spec.teams):
        role, binding = (one(stack, kind, "mlplat-controller", space) for kind in ("Role", "RoleBinding"))
        assert waits(stack, controller, role, binding) == []
    assert waits(stack, controller, one(stack, "CustomResourceDefinition", ENDPOINTS)) == []


@pytest.mark.parametrize("stack", [*STACKS, "small"])
def test_a_migration_has_ended_before_the_service_starts(stack: str) -> None:
    migration = next(
        each.key for each in of(stack, "Job") if each.inputs["metadata"]["name"].startswith("tracking-migrate")
    )
    account = one(stack, "ServiceAccount", "tracking")
    policy = one(stack, "NetworkPolicy", "tracking")
    assert waits(stack, migration, account, policy) == []
    assert waits(stack, one(stack, "Deployment", "tracking"), migration) == []
    # What is asked by a browser meanwhile is the version before: its service is not held up.
    assert waits(stack, one(stack, "Deployment", "controller"), one(stack, "Deployment", "tracking")) == []


def test_in_an_account_databases_are_made_then_copied_then_used() -> None:
    stack = "dev"
    made = next(each.key for each in of(stack, "Job") if each.inputs["metadata"]["name"].startswith("databases-make"))
    store, copied = one(stack, "SecretStore"), one(stack, "ExternalSecret", "tracking-database")
    assert waits(stack, copied, made, store, release(stack, "external-secrets")) == []
    migration = next(
        each.key for each in of(stack, "Job") if each.inputs["metadata"]["name"].startswith("tracking-migrate")
    )
    assert waits(stack, migration, copied) == []


def test_in_an_account_nothing_of_the_layer_outlives_what_makes_its_nodes_and_balancers() -> None:
    stack = "dev"
    home = one(stack, "Namespace", names.NAMESPACE)
    pools = [each.key for each in graph(stack) if each.type.endswith((":NodePool", ":EC2NodeClass"))]
    entries = [each.key for each in graph(stack).of("aws:eks/accessEntry:AccessEntry")]
    roles = [each.key for each in graph(stack).of("aws:eks/podIdentityAssociation:PodIdentityAssociation")]
    assert len(pools) >= 2
    assert waits(stack, home, *pools, *entries, *roles) == []
    assert waits(stack, home, release(stack, "karpenter"), release(stack, "aws-load-balancer-controller")) == []
    # The namespace of the proxies takes the load balancer with it, for as long as its controller is there.
    assert waits(stack, one(stack, "Namespace", names.PROXIES), release(stack, "aws-load-balancer-controller")) == []


def test_a_stack_on_another_ones_foundation_has_the_same_layer() -> None:
    # Names of jobs end with a digest of what they say, among it the stack's name.
    whole, half = (
        {(each.type, each.name.rpartition("-")[0]) for each in found if each.type.startswith("kubernetes:")}
        for found in (graph("prod"), awsprogram.graph("prod-platform"))
    )
    assert half == whole
    foundation = {each.key for each in awsprogram.graph("prod-foundation") if each.type.startswith("kubernetes:")}
    assert foundation == set()


@pytest.mark.parametrize("stack", [*STACKS, "small"])
def test_what_is_kept_while_an_endpoint_serves_goes_before_everything_else_on_the_cluster(stack: str) -> None:
    standing = one(stack, "ConfigMap", admission.STANDING)
    assert waits(stack, standing, *(each.key for each in objects(stack) if each.key != standing)) == []
    policy = one(stack, "ValidatingAdmissionPolicy", "mlplat-endpoints")
    assert waits(stack, policy, one(stack, "CustomResourceDefinition", ENDPOINTS)) == []
    (home,) = of(stack, "Namespace", names.NAMESPACE)
    teams = {each.inputs["spec"]["paramRef"]["namespace"] for each in of(stack, "ValidatingAdmissionPolicyBinding")}
    assert home.inputs["metadata"]["annotations"][admission.TEAMS] == ",".join(sorted(teams))


@pytest.mark.parametrize("stack", [*STACKS, "small"])
def test_no_secret_is_declared_and_none_is_among_the_inputs(stack: str) -> None:
    assert of(stack, "Secret") == []
    assert [each.key for each in objects(stack) if "data" in each.inputs and each.type.endswith(":Secret")] == []
    assert {each.secrets for each in objects(stack)} == {()}


@pytest.mark.parametrize("stack", ["staging", "small"])
def test_every_object_is_on_the_cluster_of_the_spec(stack: str) -> None:
    (provider,) = graph(stack).of("pulumi:providers:kubernetes")
    assert provider.inputs["context"] == ("staging" if stack == "staging" else "here")
    assert provider.inputs["clusterIdentifier"] == awsprogram.DEPLOYMENT
    assert {each.provider for each in graph(stack) if each.custom and each is not provider} == {provider.key}


def test_a_small_cluster_has_its_own_stores_before_what_needs_them() -> None:
    stack = "small"
    database, objects_ = one(stack, "StatefulSet", "database"), one(stack, "StatefulSet", "objects")
    migration = next(
        each.key for each in of(stack, "Job") if each.inputs["metadata"]["name"].startswith("tracking-migrate")
    )
    assert waits(stack, migration, database, objects_) == []


def test_without_a_locked_image_an_account_gets_all_but_the_platforms_own_services() -> None:
    written = awsprogram.spec("dev")
    config = {
        KEY: written.model_dump_json(exclude_unset=True),
        deployment.KEY: awsprogram.DEPLOYMENT,
        "pulumi:disable-default-providers": ["*"],
    }
    with definitionfiles.given():
        found = capture.run(functools.partial(run, guarded=False), stack="dev", config=config)
    kinds = {each.type.rpartition(":")[2] for each in found if each.type.startswith("kubernetes:")}
    assert kinds & {"Deployment", "Job", "ExternalSecret"} == set()
    assert {"Gateway", "CustomResourceDefinition", "ResourceQuota", "PrometheusRule"} <= kinds


def test_a_service_comes_after_those_that_it_needs() -> None:
    def service(name: str, *needs: str) -> Service:
        return Service(name=name, image="i", argv=(), ready=Http("/"), needs=needs)

    several = [service("c", "b"), service("b", "a", "elsewhere"), service("a")]
    assert [each.name for each in ordered(several)] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="need each other: a, b"):
        ordered([service("a", "b"), service("b", "a")])


def test_a_context_that_leads_to_another_cluster_is_refused_by_the_program_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import pulumi

    there = {"metadata": {"name": "kube-system", "uid": "there"}}
    monkeypatch.setitem(capture.NESTED, "kubernetes:core/v1:Namespace", lambda *_: there)
    same = clusterprogram.of(small(), "small", **{identity.KEY: "there"})
    (home,) = [each for each in same.of("kubernetes:core/v1:Namespace") if each.name == "namespace-mlplat"]
    assert home.inputs["metadata"]["annotations"][guards.ANNOTATION] == "there"
    with pytest.raises(pulumi.RunError, match="leads to the cluster there, and stacks/Pulumi"):
        guards.checked(there["metadata"], "here", "small", "context")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"pulumi:disable-default-providers": []}, "lets the engine choose credentials"),
        ({deployment.KEY: ""}, "has no deployment id"),
    ],
)
def test_a_stack_that_could_fall_to_what_happens_to_be_set_is_refused(config: dict[str, Any], said: str) -> None:
    import pulumi

    with pytest.raises(pulumi.RunError, match=said):
        clusterprogram.of(small(), "small", **config)


def test_production_without_digests_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlplat.errors import RefusedError
    from mlplat.images import Lock

    monkeypatch.setattr(images, "lock", lambda _: Lock())
    with pytest.raises(RefusedError, match="digest") as refused:
        images.references(clusterprogram.spec("staging"), "staging")
    assert "mlplat images" in str(refused.value.hint)
