"""Placing a compiled flow on a platform: whose rights, which machines, what becomes of a pod that is taken away."""

from __future__ import annotations

import json
from typing import Any

import pytest

import crds
from mlplat.manifests import pipeline
from mlplat.manifests.pipeline import Nodes, Site
from mlplat.spec.pipelines import PipelineSpec, ScheduleSpec, StepSpec

IMAGE = "registry.example.com/shop@sha256:" + "1" * 64
GPUS = Nodes({"mlplat/pool": "gpu"}, [{"key": "nvidia.com/gpu", "operator": "Equal", "value": "true"}])


def compiled() -> dict[str, Any]:
    """Return a document in the shape of Metaflow 2.19.39's, cut down to what the platform reads or changes."""
    step = {
        "name": "train",
        "serviceAccountName": "default",
        "retryStrategy": {"retryPolicy": "Always", "limit": "2", "backoff": {"duration": "1m"}},
        "metadata": {
            "annotations": {"metaflow/step_name": "train"},
            "labels": {"kueue.x-k8s.io/queue-name": "another"},
        },
        "volumes": [{"name": "out", "emptyDir": {}}],
        "nodeSelector": {},
        "tolerations": None,
        "container": {
            "name": "train",
            "image": "project",
            "command": ["bash", "-c", "true"],
            "env": [
                {"name": "METAFLOW_S3_ENDPOINT_URL", "value": "http://127.0.0.1:9", "valueFrom": None},
                {"name": "METAFLOW_PRODUCTION_TOKEN", "value": "__PLACEHOLDER_PRODUCTION_TOKEN__", "valueFrom": None},
                {"name": "METAFLOW_FLOW_NAME", "value": "TrainFlow", "valueFrom": None},
            ],
            "resources": {"claims": None, "limits": {}, "requests": {"cpu": "1", "memory": "4096M"}},
            "volumeMounts": [{"mountPath": "/mnt/out", "name": "out", "readOnly": None}],
        },
    }
    hook = {
        "name": "error-msg-capture-hook",
        "container": {"name": "main", "image": "project", "command": ["true"], "resources": {"requests": {"cpu": "1"}}},
    }
    graph = {"name": "TrainFlow", "dag": {"tasks": [{"name": "train", "template": "train"}]}}
    return {
        "apiVersion": pipeline.ARGO,
        "kind": "WorkflowTemplate",
        "metadata": {"name": "trainflow", "namespace": "x", "annotations": {"metaflow/owner": "mlplat"}},
        "spec": {"entrypoint": "TrainFlow", "hooks": {}, "templates": [graph, step, hook]},
    }


def site(**changes: Any) -> Site:
    """Return what a platform says to a project."""
    variables = {
        "METAFLOW_S3_ENDPOINT_URL": "http://objects.mlplat.svc:8333",
        "AWS_ACCESS_KEY_ID": {"valueFrom": {"secretKeyRef": {"name": "objects", "key": "access_key"}}},
    }
    return Site(
        "shopping", "shop", IMAGE, **{"queue": "default", "variables": variables, "pools": {"gpu": GPUS}, **changes}
    )


def placed(spec: PipelineSpec | None = None, **changes: Any) -> dict[str, Any]:
    """Return the placed template."""
    return pipeline.template(compiled(), site(**changes), spec or PipelineSpec(), flow="train", commit="1" * 40)


def part(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one of its templates."""
    found: dict[str, Any] = next(each for each in document["spec"]["templates"] if each["name"] == name)
    return found


def test_two_projects_of_a_team_do_not_meet_in_one_name() -> None:
    assert placed()["metadata"]["name"] == "shop-train"
    assert placed()["metadata"]["namespace"] == "shopping"


@pytest.mark.parametrize("name", ["train", "error-msg-capture-hook"])
def test_every_pod_has_the_projects_image_and_the_least_rights(name: str) -> None:
    container = part(placed(), name)["container"]
    assert container["image"] == IMAGE
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert part(placed(), name)["serviceAccountName"] == "pipeline"


def test_every_folder_that_a_step_writes_to_is_a_volume() -> None:
    step = part(placed(), "train")
    mounted = {each["mountPath"] for each in step["container"]["volumeMounts"]}
    assert mounted == {"/mnt/out", "/work", "/tmp"}  # noqa: S108 - the paths inside a pod
    assert {each["name"] for each in step["volumes"]} == {each["name"] for each in step["container"]["volumeMounts"]}
    assert step["container"]["workingDir"] == "/work"


def test_addresses_of_the_computer_that_compiled_reach_no_pod() -> None:
    env = part(placed(), "train")["container"]["env"]
    assert [each["value"] for each in env if each["name"] == "METAFLOW_S3_ENDPOINT_URL"] == [
        "http://objects.mlplat.svc:8333"
    ]
    assert "127.0.0.1" not in json.dumps(placed())
    assert "PLACEHOLDER" not in json.dumps(placed())
    assert {"name": "METAFLOW_FLOW_NAME", "value": "TrainFlow"} in env
    assert [each["value"] for each in env if each["name"] == "MLPLAT_COMMIT"] == ["1" * 40]


def test_a_secret_is_referred_to_and_never_written() -> None:
    env = part(placed(), "train")["container"]["env"]
    keys = next(each for each in env if each["name"] == "AWS_ACCESS_KEY_ID")
    assert keys["valueFrom"]["secretKeyRef"] == {"name": "objects", "key": "access_key"}


def test_a_pod_waits_in_its_teams_queue_and_is_not_moved() -> None:
    metadata = part(placed(), "train")["metadata"]
    assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "default"
    assert metadata["labels"]["mlplat/team"] == "shopping"
    assert metadata["annotations"]["karpenter.sh/do-not-disrupt"] == "true"


def test_without_queues_nothing_waits_in_one() -> None:
    assert "kueue.x-k8s.io/queue-name" not in part(placed(queue=None), "train")["metadata"]["labels"]


def test_a_step_is_tried_again_when_its_machine_goes_and_not_when_it_fails() -> None:
    strategy = part(placed(PipelineSpec(retries=4)), "train")["retryStrategy"]
    assert (strategy["limit"], strategy["retryPolicy"]) == (4, "OnError")


def test_gpus_are_asked_for_on_their_pool_alone() -> None:
    spec = PipelineSpec(steps={"train": StepSpec(gpu=1, pool="gpu", memory_gib=8.0)})
    step = part(placed(spec), "train")
    assert step["nodeSelector"] == {"mlplat/pool": "gpu"}
    assert step["tolerations"] == list(GPUS.tolerations)
    assert step["container"]["resources"]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": "1"}
    other = part(placed(), "train")
    assert (other["nodeSelector"], other["tolerations"]) == ({}, [])
    assert "nvidia.com/gpu" not in other["container"]["resources"]["requests"]


def test_shared_gpus_are_asked_for_by_their_own_name() -> None:
    spec = PipelineSpec(steps={"train": StepSpec(gpu=1, pool="shared")})
    pools = {"shared": Nodes(gpu_resource="nvidia.com/gpu.shared")}
    limits = part(placed(spec, pools=pools), "train")["container"]["resources"]["limits"]
    assert limits == {"memory": "2Gi", "nvidia.com/gpu.shared": "1"}


def test_nothing_that_says_nothing_is_sent() -> None:
    assert "null" not in json.dumps(placed())
    assert "hooks" not in placed()["spec"]


def test_a_run_ends_and_leaves_no_pods() -> None:
    spec = placed(PipelineSpec(timeout_hours=2.0, keep_days=1.0))["spec"]
    assert spec["activeDeadlineSeconds"] == 7200
    assert spec["ttlStrategy"] == {"secondsAfterCompletion": 86_400}
    assert spec["podGC"] == {"strategy": "OnPodSuccess"}


def test_a_schedule_is_what_argo_4_runs() -> None:
    document = pipeline.schedule(site(), ScheduleSpec(cron=["30 4 * * mon"], timezone="Europe/Dublin"), flow="train")
    assert document["spec"]["schedules"] == ["30 4 * * mon"]
    assert "schedule" not in document["spec"]
    assert document["spec"]["concurrencyPolicy"] == "Forbid"
    assert document["spec"]["workflowSpec"]["workflowTemplateRef"]["name"] == placed()["metadata"]["name"]
    assert document["spec"]["workflowSpec"]["podMetadata"]["annotations"] == {"mlplat/reason": "schedule"}
    assert crds.problems(document) == []


def test_a_run_is_known_by_its_wish_and_carries_its_reason() -> None:
    wish = {"namespace": "shopping", "key": "drift-7", "reason": "three of four windows drifted"}
    document = pipeline.run("shop", "train", parameters={"until": "2024-05-20", "sample": 0}, **wish)
    assert document["metadata"]["name"] == "shop-train-drift-7"
    assert document["metadata"]["annotations"]["mlplat/reason"] == "three of four windows drifted"
    assert document["spec"]["podMetadata"] == {"annotations": {"mlplat/reason": "three of four windows drifted"}}
    assert document["spec"]["arguments"]["parameters"] == [
        {"name": "sample", "value": "0"},
        {"name": "until", "value": '"2024-05-20"'},
    ]
    assert crds.problems(document) == []


def test_what_is_no_flow_is_not_taken_for_one() -> None:
    with pytest.raises(KeyError):
        pipeline.template({"kind": "ConfigMap"}, site(), PipelineSpec(), flow="train", commit="1" * 40)
