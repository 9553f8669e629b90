"""What a team's flows are told of the platform."""

from __future__ import annotations

from typing import Any

from mlplat.manifests import flows, names
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import flows as told
from mlplat.targets.kubernetes import foundation
from mlplat.targets.kubernetes.ground import Ground

POOLS = {
    "gpu": {"node_selector": {"pool": "gpu"}, "gpu_count": 1, "shared_by": 2, "max_size": 1},
    "theirs": {"node_selector": {"pool": "b"}, "max_size": 1, "teams": ["pricing"]},
    "servers": {"node_selector": {"pool": "c"}, "max_size": 1, "workload": "serving"},
}


def platform(**kubernetes: Any) -> PlatformSpec:
    document = {
        "version": 2, "name": "acme", "target": "kubernetes", "engine": {}, "pools": POOLS,
        "kubernetes": {"context": "here", "production": False, **kubernetes},
        "teams": {"flights": {}, "pricing": {}},
    }  # fmt: skip
    return parse_platform(document, "a test")


def read(spec: PlatformSpec, team: str = "flights") -> flows.Terms:
    ground = Ground(provider=None, production=False, objects=foundation.objects(spec.kubernetes), databases={})
    document = told.document(team, spec, ground)
    assert (document["metadata"]["name"], document["metadata"]["namespace"]) == (flows.NAME, team)
    return flows.read(document)


def test_a_team_is_told_of_the_pools_that_it_may_use() -> None:
    assert list(read(platform()).pools) == ["gpu"]
    assert list(read(platform(), "pricing").pools) == ["gpu", "theirs"]
    gpu = read(platform()).pools["gpu"]
    assert (gpu.node_selector, gpu.gpu_resource) == ({"pool": "gpu"}, "nvidia.com/gpu.shared")


def test_every_teams_code_lies_under_its_own_name() -> None:
    assert read(platform(), "pricing").root == "s3://mlplat-pipelines/pricing/metaflow"


def test_steps_wait_in_the_teams_queue_where_there_are_queues() -> None:
    assert read(platform()).queue == names.LOCAL_QUEUE
    assert read(platform(addons={"queues": "off"})).queue is None


def test_a_platform_without_pipelines_still_tells_where_its_prediction_logs_lie() -> None:
    assert read(platform(addons={"pipelines": "off"})).data == "s3://mlplat-data/flights"


def test_a_store_in_the_cluster_is_entered_by_the_teams_own_secret() -> None:
    site = read(platform()).site("flights", "late", "late@sha256:1")
    keys = {"secretKeyRef": {"name": "objects", "key": "secret_key"}}
    assert site.variables["AWS_SECRET_ACCESS_KEY"] == {"valueFrom": keys}
    assert site.variables["AWS_ENDPOINT_URL_S3"] == site.variables["METAFLOW_S3_ENDPOINT_URL"]


def test_a_cloud_s_own_store_is_entered_by_identity_and_by_no_address() -> None:
    buckets = {each: f"acme-{each}" for each in ("data", "artifacts", "features", "pipelines")}
    site = read(platform(objects={"buckets": buckets})).site("flights", "late", "late@sha256:1")
    assert not {each for each in site.variables if each.startswith("AWS_")} - {"AWS_DEFAULT_REGION"}
    assert "METAFLOW_S3_ENDPOINT_URL" not in site.variables


def test_a_projects_data_and_its_teams_logs_lie_under_the_teams_own_name() -> None:
    site = read(platform(), "pricing").site("pricing", "fares", "fares@sha256:1")
    assert site.variables["MLPLAT_DATA_PLACE"] == "s3://mlplat-data/pricing/projects/fares"
    assert site.variables["MLPLAT_PREDICTIONS"] == "s3://mlplat-data/pricing/predictions"


def test_a_platform_of_before_says_nothing_of_data_and_its_flows_still_run() -> None:
    terms = read(platform()).model_copy(update={"data": None})
    assert not {"MLPLAT_DATA_PLACE", "MLPLAT_PREDICTIONS"} & terms.site("flights", "late", "i").variables.keys()


def test_a_step_knows_why_its_run_was_begun_by_what_its_pod_says() -> None:
    why = read(platform()).site("flights", "late", "late@sha256:1").variables["MLPLAT_REASON"]
    assert why == {"valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['mlplat/reason']"}}}


def test_what_a_run_registers_is_known_by_it() -> None:
    assert read(platform()).site("flights", "late", "late@sha256:1").variables["MLPLAT_RUN"] == "{{workflow.name}}"
