from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import awsprogram
import awsstacks
from mlplat.spec.aws.governance import DomainSpec
from mlplat.targets.aws import layer
from mlplat.targets.aws.site import Site

ZONE = "Z0123456789ABCDEFGHIJ"


def site(stack: str = "dev", **domain: Any) -> Site:
    made = Site.of(awsprogram.spec(stack), stack, awsprogram.DEPLOYMENT)
    named = DomainSpec(name="ml.example.com", **domain) if domain else None
    return replace(made, aws=made.aws.model_copy(update={"domain": named}))


@pytest.mark.parametrize(("stack", "production"), [("dev", False), ("prod", True)])
def test_the_account_says_what_the_layer_reads_of_the_cluster(stack: str, production: bool) -> None:
    told = layer.on_cluster(awsprogram.spec(stack), site(stack)).kubernetes
    assert (told.version, told.production, told.storage_class) == ("1.35", production, "gp3")
    assert told.images.registry == f"{site(stack).registry}/{site(stack).path()}"


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ({}, None),
        ({"zone_id": None}, None),
        ({"zone_id": ZONE}, "endpoints.ml.example.com"),
        ({"delegated": True}, "endpoints.ml.example.com"),
    ],
)
def test_endpoints_have_a_name_where_somebody_would_find_it(domain: dict[str, Any], name: str | None) -> None:
    assert layer.endpoints(site(**domain)) == name


def test_the_name_leads_to_the_load_balancer_of_the_gateway() -> None:
    graph = awsstacks.graph(awsstacks.OTHERWISE)
    record = graph.one("aws:route53/record:Record", "endpoints")
    gateway = graph.one("kubernetes:gateway.networking.k8s.io/v1:Gateway")
    assert record.inputs["records"] == [f"${{{gateway.key}.address}}"]
    assert gateway.key in record.depends_on
    (listener,) = gateway.inputs["spec"]["listeners"]
    assert (listener["hostname"], listener["port"]) == (record.inputs["name"], 443)
    # A name that goes takes every caller with it: not before the last endpoint.
    assert record.key in graph.one("kubernetes:core/v1:ConfigMap", "configmap-mlplat-standing").depends_on


def roles() -> set[str]:
    """Return the accounts in the platform's namespace that have a role."""
    return {
        each.inputs["serviceAccount"]
        for each in awsprogram.graph("prod").of("aws:eks/podIdentityAssociation:PodIdentityAssociation")
        if each.inputs["namespace"] == "mlplat"
    }


def test_jobs_run_as_the_accounts_that_have_their_roles() -> None:
    names = {each.service.name for each in layer.setup(site("prod"))}
    assert names == {"databases", "tables"}
    assert names <= roles()


def test_steps_and_model_servers_are_told_of_a_feature_server_that_has_a_role() -> None:
    graph = awsprogram.graph("prod")
    (server,) = [each for each in graph.of("kubernetes:apps/v1:Deployment") if each.name.endswith("-online")]
    assert server.inputs["spec"]["template"]["spec"]["serviceAccountName"] in roles()
    told = {each.name: each.inputs.get("data", {}) for each in graph.of("kubernetes:core/v1:ConfigMap")}
    flows = json.loads(told["configmap-flights-pipelines"]["flows.json"])
    controller = json.loads(told["configmap-mlplat-controller-live"]["settings.json"])
    assert flows["features"] == controller["features"] == "http://online.mlplat.svc:6566"


def test_valkey_has_no_tables_to_mend() -> None:
    bare = site("prod")
    online = bare.aws.online_store.model_copy(update={"kind": "valkey"})
    valkey = replace(bare, aws=bare.aws.model_copy(update={"online_store": online}))
    assert [each.service.name for each in layer.setup(valkey)] == ["databases"]


def test_the_jobs_are_told_where_by_variables_and_take_what_their_programs_take() -> None:
    from mlplat.jobs import databases, tables

    graph = awsprogram.graph("prod")
    found = {
        each.inputs["metadata"]["name"].rpartition("-")[0]: each.inputs["spec"]["template"]["spec"]["containers"][0]
        for each in graph.of("kubernetes:batch/v1:Job")
    }
    for name, module in (("databases-make", databases), ("tables-mend", tables)):
        command = found[name]["command"]
        assert command[:3] == ["python", "-m", module.__name__]
        # Wrong usage would end with 2 here, as it would there.
        assert module._arguments(command[3:])
        said = {each["name"] for each in found[name]["env"]}
        for word in command:
            assert all(part in said for part in _variables(word)), word


def _variables(text: str) -> list[str]:
    return [part.partition(")")[0] for part in text.split("$(")[1:]]
