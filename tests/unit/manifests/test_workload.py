from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

import servicevalues
import workloads
from mlplat.errors import RefusedError
from mlplat.manifests import Place, workload
from mlplat.manifests.network import Peer, default_deny, names_allowed
from mlplat.services import Http, Job, Open, Ref, Resources, SecretRef, Service, Volume
from workloadrules import broken

PEER = Peer((1,), {"matchLabels": {"a": "b"}})
PLACE = Place(
    images={"image": "r/x:1", "other": "r/o:1"},
    values={"region": "here"},
    peers=dict.fromkeys(("api", "database", "gateway", "other"), PEER),
    production=False,
)
SERVICE = Service(
    name="one",
    image="image",
    argv=("run", Ref("region")),
    ready=Http("/ready", timeout=61),
    ports={"http": 80},
    files={"a.json": {"x": 1}},
    live={"b.json": {"y": 1}},
    setup=(Job("migrate", ("up",), {"URL": SecretRef("db", "url")}),),
)


def kinds(made: list[dict[str, Any]]) -> list[str]:
    return [each["kind"] for each in made]


def one(made: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in made if each["kind"] == kind]
    return found


def changed(**more: Any) -> Service:
    return dataclasses.replace(SERVICE, **more)


@pytest.mark.parametrize(
    ("version", "label"), [("3.17.2", "3.17.2"), ("0.2.0.dev1+ab.c", "0.2.0.dev1-ab.c"), ("v" * 62 + ".1", "v" * 62)]
)
def test_a_version_marks_every_object_and_no_pod(version: str, label: str) -> None:
    plain, marked = workload(SERVICE, PLACE), workload(changed(version=version), PLACE)
    assert {each["metadata"]["labels"].pop("app.kubernetes.io/version") for each in marked} == {label}
    # What remains says nothing of it, pods' templates and jobs' names included: only an image may replace pods.
    assert marked == plain


def test_what_a_service_needs_is_made_before_it_and_its_job_before_its_pods() -> None:
    made = kinds(workload(changed(replicas=2, metrics="/m"), PLACE))
    assert made == [
        *("ServiceAccount", "NetworkPolicy", "ConfigMap", "ConfigMap", "Job", "Service"),
        *("Deployment", "PodDisruptionBudget", "ServiceMonitor"),
    ]


def test_what_keeps_something_is_a_stateful_set_and_its_claims_stay() -> None:
    place = dataclasses.replace(PLACE, storage_class="fast")
    made = one(workload(changed(volumes=(Volume("/data", 5), Volume("/more", 1))), place), "StatefulSet")["spec"]
    claims = {each["metadata"]["name"]: each["spec"] for each in made["volumeClaimTemplates"]}
    assert {name: each["resources"]["requests"]["storage"] for name, each in claims.items()} == {
        "data": "5Gi",
        "data-1": "1Gi",
    }
    assert {each["storageClassName"] for each in claims.values()} == {"fast"}
    assert set(made["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}


def template(service: Service, place: Place = PLACE) -> dict[str, Any]:
    return one(workload(service, place), "Deployment")["spec"]["template"]  # type: ignore[no-any-return]


def test_a_changed_file_restarts_pods_and_a_changed_live_one_does_not() -> None:
    before = template(SERVICE)
    assert template(changed(live={"b.json": {"y": 2}})) == before
    assert template(changed(files={"a.json": {"x": 2}})) != before
    assert template(changed(files={"a.json": {"x": 2}}))["spec"] == before["spec"]


def job(service: Service, place: Place = PLACE) -> str:
    return str(one(workload(service, place), "Job")["metadata"]["name"])


@pytest.mark.parametrize(
    ("service", "place"),
    [
        (changed(setup=(Job("migrate", ("up", "2"), {"URL": SecretRef("db", "url")}),)), PLACE),
        (SERVICE, dataclasses.replace(PLACE, images={"image": "r/x:2"})),
        (changed(files={"a.json": {"x": 2}}), PLACE),
    ],
    ids=["another command", "another image", "other files"],
)
def test_a_job_that_does_another_thing_is_another_job(service: Service, place: Place) -> None:
    assert job(service, place) != job(SERVICE)


def test_a_job_is_not_run_again_for_a_change_that_is_not_its_own() -> None:
    assert job(changed(replicas=3, argv=("other",))) == job(SERVICE)


def test_a_jobs_pods_get_no_traffic_and_share_the_services_edges() -> None:
    made = workload(SERVICE, PLACE)
    marks = one(made, "Job")["spec"]["template"]["metadata"]["labels"]
    assert not one(made, "Service")["spec"]["selector"].items() <= marks.items()
    assert one(made, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items() <= marks.items()


def test_a_job_with_rights_signs_in_as_an_account_that_has_them_and_nobody_else_does() -> None:
    rights = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
    setup = (Job("make", ("go",), identity="maker", rights=(rights,), reaches=("api",)),)
    made = workload(changed(setup=setup), PLACE)
    assert one(made, "Role")["rules"] == [rights]
    assert one(made, "RoleBinding")["subjects"] == [{"kind": "ServiceAccount", "name": "maker", "namespace": "mlplat"}]
    assert one(made, "Job")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    assert template(changed(setup=setup))["spec"]["automountServiceAccountToken"] is False
    further = [each for each in made if each["metadata"]["name"] == "one-make"]
    assert further[0]["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "one-make"}}


@pytest.mark.parametrize(
    ("exclusive", "strategy"),
    [
        (True, {"type": "Recreate"}),
        (False, {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
    ],
)
def test_only_what_must_be_alone_is_gone_while_it_is_replaced(exclusive: bool, strategy: dict[str, Any]) -> None:
    assert one(workload(changed(exclusive=exclusive), PLACE), "Deployment")["spec"]["strategy"] == strategy


@pytest.mark.parametrize(
    ("alive", "path"), [(None, "/ready"), (Http("/alive"), "/alive")], ids=["by readiness", "by its own"]
)
def test_a_service_is_given_its_time_to_start_and_restarted_only_when_it_is_dead(alive: Http | None, path: str) -> None:
    probes = template(changed(alive=alive))["spec"]["containers"][0]
    start, live = probes["startupProbe"], probes["livenessProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= SERVICE.ready.timeout
    assert live["httpGet"]["path"] == path
    assert live["periodSeconds"] * live["failureThreshold"] >= 60


def test_what_speaks_no_http_is_ready_when_its_port_is_open() -> None:
    made = template(changed(ready=Open(port="http")))["spec"]["containers"][0]
    assert made["readinessProbe"]["tcpSocket"] == {"port": "http"}


@pytest.mark.parametrize(
    ("image", "refused"), [("r/x:1", True), (f"r/x{workloads.DIGEST}", False), (f"r/x:1{workloads.DIGEST}", False)]
)
def test_production_takes_images_by_digest_alone(image: str, refused: bool) -> None:
    place = dataclasses.replace(PLACE, images={"image": image}, production=True)
    if not refused:
        assert template(SERVICE, place)["spec"]["containers"][0]["image"] == image
        return
    with pytest.raises(RefusedError, match="without a digest") as told:
        workload(SERVICE, place)
    assert "mlplat images lock" in str(told.value.hint)


def test_an_image_that_nobody_knows_is_named() -> None:
    with pytest.raises(RefusedError, match="where the image `image` is"):
        workload(SERVICE, dataclasses.replace(PLACE, images={}))


def test_a_public_image_is_taken_as_it_is_written() -> None:
    assert PLACE.image("docker.io/library/postgres:17") == "docker.io/library/postgres:17"


def test_seeds_are_refused_where_there_are_no_folders() -> None:
    with pytest.raises(ValueError, match="`seeds` cannot be planted"):
        workload(changed(seeds={"a": 1}), PLACE)


def test_an_edge_to_nobody_is_named() -> None:
    with pytest.raises(ValueError, match="one: nobody here is called `moon`"):
        workload(changed(reaches=("moon",)), PLACE)


def test_what_goes_with_an_owner_says_so_in_each_document() -> None:
    owner = {"apiVersion": "mlplat.dev/v1alpha1", "kind": "ModelEndpoint", "name": "a.b", "uid": "1"}
    made = workload(changed(replicas=2), dataclasses.replace(PLACE, owner=owner, labels={"mlplat/team": "growth"}))
    assert all(each["metadata"]["ownerReferences"] == [owner] for each in made)
    assert all(each["metadata"]["labels"]["mlplat/team"] == "growth" for each in made)


def test_a_place_puts_pods_where_it_says() -> None:
    place = dataclasses.replace(
        PLACE,
        pull_secret="pull",  # noqa: S106 - the name of one
        priority="high",
        node_selector={"a": "b"},
        tolerations=[{"key": "k", "operator": "Exists"}],
    )
    for each in workload(SERVICE, place):
        if each["kind"] in ("Deployment", "Job"):
            spec = each["spec"]["template"]["spec"]
            assert spec["imagePullSecrets"] == [{"name": "pull"}]
            assert (spec["priorityClassName"], spec["nodeSelector"]) == ("high", {"a": "b"})
            assert spec["tolerations"] == [{"key": "k", "operator": "Exists"}]


def test_gpus_are_asked_for_and_limited_alike() -> None:
    made = template(changed(resources=Resources(gpu=2)))["spec"]["containers"][0]["resources"]
    assert made["requests"]["nvidia.com/gpu"] == made["limits"]["nvidia.com/gpu"] == "2"


class Later:
    """Something that nobody has read yet, as an output is."""

    def __init__(self, function: Callable[[Any], str]) -> None:
        self.function = function


def test_a_file_with_an_output_waits_for_it_and_so_does_its_digest() -> None:
    place = dataclasses.replace(PLACE, values={"region": object()}, later=lambda _, function: Later(function))
    made = workload(changed(files={"a.json": {"x": Ref("region")}}, argv=()), place)
    files = next(each for each in made if each["metadata"]["name"] == "one-files")
    assert isinstance(files["data"]["a.json"], Later)
    assert isinstance(one(made, "Deployment")["spec"]["template"]["metadata"]["annotations"]["mlplat/files"], Later)


def test_a_namespace_is_closed_but_for_names() -> None:
    assert default_deny("n")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (rule,) = names_allowed("n")["spec"]["egress"]
    assert {(each["port"], each["protocol"]) for each in rule["ports"]} == {(53, "UDP"), (53, "TCP")}


def test_who_may_go_anywhere_still_may_not_ask_the_cloud_who_its_node_is() -> None:
    blocks = [each["ipBlock"] for each in Peer(addresses=("0.0.0.0/0", "::/0", "10.0.0.0/8")).ends()]
    assert [each.get("except") for each in blocks] == [["169.254.169.254/32"], ["fd00:ec2::254/128"], None]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(servicevalues.SERVICES)
def test_any_service_becomes_json_the_same_each_time_and_breaks_no_rule(service: Service) -> None:
    made = workload(service, PLACE)
    assert json.loads(json.dumps(made)) == made
    assert workload(copy.deepcopy(service), PLACE) == made
    assert broken(made) == []
