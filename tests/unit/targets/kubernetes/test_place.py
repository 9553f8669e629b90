from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlplat import services
from mlplat.manifests.workload import workload
from mlplat.spec.platform import PlatformSpec, PredictionLogSpec, ServingSpec, parse_platform
from mlplat.targets.kubernetes import copies, foundation, given, place, secrets, setup
from mlplat.targets.kubernetes.ground import Cloud, Ground, Objects

IMAGES = dict.fromkeys(("tracking", "controller", "serving", "features"), f"r/i@sha256:{'0' * 64}")


def platform(endpoint: str | None = "https://objects.example.com:9000", **databases: Any) -> PlatformSpec:
    buckets = {each: f"b-{each}" for each in ("data", "artifacts", "features", "pipelines")}
    document = {
        "version": 2,
        "target": "kubernetes",
        "engine": {},
        "kubernetes": {
            "context": "test",
            "databases": {"tracking": "tracking-database", **databases},
            "objects": {"buckets": buckets, "secret": "objects", **({"endpoint": endpoint} if endpoint else {})},
            "images": {"pull_secret": "registry"},
        },
        "teams": {"flights": {}, "pricing": {}},
    }
    return parse_platform(document, "a test")


def ground(spec: PlatformSpec) -> Ground:
    on = spec.kubernetes
    kept = foundation.objects(on)
    return Ground(None, on.production, kept, foundation.secrets(on.databases))


def test_mlflow_answers_to_every_name_that_the_cluster_gives_it_with_and_without_its_port() -> None:
    (tracking,) = [each for each in services.on_cluster(platform()) if each.name == "tracking"]
    hosts = place.hosts(tracking)
    for name in ("tracking", "tracking.mlplat", "tracking.mlplat.svc", "tracking.mlplat.svc.cluster.local"):
        assert {name, f"{name}:{tracking.ports['http']}"} <= {*hosts}
    assert place.url(tracking) == f"http://tracking.mlplat.svc:{tracking.ports['http']}"


def test_artifacts_are_kept_in_a_folder_that_no_team_can_be_called_after() -> None:
    spec = platform()
    assert place.values(ground(spec), services.on_cluster(spec))["artifacts"] == ("s3://", "b-artifacts", "/_tracking")


@pytest.mark.parametrize(
    ("endpoint", "address", "port"),
    [
        ("https://objects.example.com:9000", "https://objects.example.com:9000", 9000),
        ("http://objects.example.com", "http://objects.example.com", 80),
        (None, "https://s3.us-east-1.amazonaws.com", 443),
    ],
)
def test_services_reach_the_object_store_on_the_port_of_its_address(
    endpoint: str | None, address: str, port: int
) -> None:
    spec = platform(endpoint)
    own = services.on_cluster(spec)
    assert place.values(ground(spec), own)["objects"] == address
    assert place.peers(ground(spec), own, spec)["objects"].ports == (port,)


@pytest.mark.parametrize(("written", "port"), [({}, 5432), ({"port": 6432}, 6432)])
def test_services_reach_databases_that_are_there_on_their_port_and_on_no_other(
    written: dict[str, Any], port: int
) -> None:
    spec = platform(**written)
    there = place.place(ground(spec), services.on_cluster(spec), IMAGES, spec)
    (tracking,) = [each for each in services.on_cluster(spec) if each.name == "tracking"]
    (policy,) = [each for each in workload(tracking, there) if each["kind"] == "NetworkPolicy"]
    ports = {each["port"] for edge in policy["spec"]["egress"] for each in edge["ports"]}
    assert port in ports
    assert {5432, 6432} & ports == {port}
    asked = {"tracking-database", "objects", "registry", "tracking-keys", "endpoint-keys"}
    assert {each.name for each in given.wanted(spec)} == asked


def test_every_name_at_an_edge_of_a_service_is_known() -> None:
    for spec in (platform(), platform(None)):
        own = services.on_cluster(spec)
        standing = place.place(ground(spec), own, IMAGES, spec)
        for service in own:
            assert workload(service, standing)


def test_databases_that_are_not_named_are_not_there() -> None:
    assert foundation.secrets(platform().kubernetes.databases) == {"tracking": "tracking-database"}
    assert set(foundation.secrets(None)) == {"tracking", "features", "pipelines"}


def test_a_vaults_secret_becomes_the_clusters_by_name_alone() -> None:
    cloud = Cloud("eu-west-1", "c", "t", {}, {"tracking": "mlplat/x/tracking"})
    (copied,) = secrets.databases(cloud.applications, {"tracking": "tracking-database", "features": "elsewhere"})
    assert copied["spec"]["data"] == [
        {"secretKey": "url", "remoteRef": {"key": "mlplat/x/tracking", "property": "url"}}
    ]
    assert copied["spec"]["target"]["deletionPolicy"] == "Retain"
    store = secrets.store(cloud)
    # By the controller's own identity: a store that names an account cannot sign in where pods have theirs by EKS.
    assert store["spec"] == {"provider": {"aws": {"service": "SecretsManager", "region": "eu-west-1"}}}
    assert copied["spec"]["secretStoreRef"] == {"kind": store["kind"], "name": store["metadata"]["name"]}


def test_what_teams_pods_need_is_copied_at_once_and_again() -> None:
    spec = platform()
    wanted = copies.wanted(spec, ground(spec))
    assert wanted == ["objects", "registry"]
    standing = place.place(ground(spec), services.on_cluster(spec), IMAGES, spec)
    made = {each["kind"]: each for each in setup.documents(copies.setup(spec, wanted), standing)}
    assert {"Job", "CronJob", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"} == set(made)
    assert made["CronJob"]["spec"]["jobTemplate"]["spec"] == made["Job"]["spec"]
    assert made["CronJob"]["metadata"]["name"] == "copies-copy"
    command = made["Job"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[-4:] == ["--to", "flights", "--to", "pricing"]


def test_the_job_of_copies_reads_and_writes_no_other_secret() -> None:
    role, binding = copies.rights("flights", ["objects"])
    assert [each["verbs"] for each in role["rules"] if "resourceNames" not in each] == [["create"]]
    assert all(each["resources"] == ["secrets"] for each in role["rules"])
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "copies", "namespace": "mlplat"}]


def test_an_account_whose_pods_have_identities_copies_no_keys() -> None:
    spec = platform()
    on_account = replace(ground(spec), objects=Objects({}, "eu-west-1"))
    assert copies.wanted(spec, on_account) == ["registry"]


@pytest.mark.parametrize("secrets", [[], ["objects"]])
def test_a_job_that_only_makes_keys_runs_once_and_never_may_read_every_secret(secrets: list[str]) -> None:
    made = copies.setup(platform(), secrets)
    assert (made.schedule is None) == (not secrets)
    (rule,) = made.service.setup[0].rights
    assert rule["resourceNames"] == [*secrets, "prediction-log"]
    assert made.service.setup[0].argv.count("--key") == 1
    off = platform().model_copy(update={"serving": ServingSpec(prediction_log=PredictionLogSpec(enabled=False))})
    assert copies.keys(off) == []
