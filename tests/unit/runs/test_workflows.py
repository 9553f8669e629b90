"""What a Workflow says of a run, as people are told it."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any, cast

import pytest

from knowncluster import KnownCluster, made
from mlplat.cluster import Cluster
from mlplat.errors import RefusedError, UnreachableError
from mlplat.manifests import names, pipeline
from mlplat.runs import workflows
from mlplat.runs.workflows import Workflows

LABELS = {names.PROJECT: "shop", names.MANAGED_BY: names.MANAGER, pipeline.FLOW: "train"}


def node(name: str, phase: str, kind: str = "Pod", **more: Any) -> dict[str, Any]:
    return {"type": kind, "templateName": name, "displayName": name, "phase": phase, **more}


def document(phase: str = "Running", *nodes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    status = {"phase": phase, "nodes": {str(index): each for index, each in enumerate(nodes)}}
    about = {"labels": LABELS, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return made("Workflow", "shop-train-1", "growth", pipeline.ARGO, metadata=about, spec=spec, status=status)


@pytest.mark.parametrize(
    ("phase", "spec", "status"),
    [
        ("", {}, "waiting"),
        ("Pending", {}, "waiting"),
        ("Running", {"shutdown": "Terminate"}, "running"),
        ("Succeeded", {}, "done"),
        ("Failed", {}, "failed"),
        ("Error", {}, "failed"),
        ("Failed", {"shutdown": "Terminate"}, "cancelled"),
        ("Succeeded", {"shutdown": "Terminate"}, "done"),
    ],
)
def test_a_run_is_what_its_phase_and_its_end_say(phase: str, spec: dict[str, Any], status: str) -> None:
    assert workflows.read(document(phase, **spec)).status == status


def test_a_step_is_as_bad_as_its_worst_task_and_lasts_from_the_first_to_the_last() -> None:
    first = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:05Z"}
    second = {"startedAt": "2026-01-01T00:00:02Z", "finishedAt": "2026-01-01T00:00:09Z"}
    done = node("fit", "Succeeded", **first)
    (good,) = workflows.read(document("Running", done, node("fit", "Succeeded", **second))).steps
    assert (good.status, good.tasks, good.seconds, good.line()) == ("done", 2, 9.0, "fit          9 s  (2 tasks)")
    (bad,) = workflows.read(document("Failed", done, node("fit", "Failed", message="exit code 1", **second))).steps
    assert (bad.status, bad.message) == ("failed", "exit code 1")
    (going,) = workflows.read(document("Running", done, node("fit", "Running"))).steps
    assert (going.status, going.seconds) == ("running", None)


def test_a_step_that_was_tried_again_is_what_became_of_all_tries() -> None:
    tries = [node("fit", "Error", message="its node went away"), node("fit", "Succeeded")]
    (step,) = workflows.read(document("Succeeded", node("fit", "Succeeded", "Retry"), *tries)).steps
    assert (step.status, step.tasks, step.message) == ("done", 1, "")


def test_steps_stand_in_the_order_in_which_they_began_and_what_only_orders_others_is_none() -> None:
    last = node("a", "Running", startedAt="2026-01-01T00:00:05Z")
    first = node("b", "Succeeded", startedAt="2026-01-01T00:00:00Z")
    found = workflows.read(document("Running", node("graph", "Running", "DAG"), last, node("c", "Pending"), first))
    assert [each.name for each in found.steps] == ["b", "a", "c"]


def test_steps_of_a_large_run_are_unpacked() -> None:
    whole = document("Running", node("fit", "Running"))
    nodes = whole["status"].pop("nodes")
    whole["status"]["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    assert [each.name for each in workflows.read(whole).steps] == ["fit"]


def test_parameters_are_shown_as_the_flow_gets_them() -> None:
    given = [{"name": "until", "value": '"2024-05-20"'}, {"name": "odd", "value": "by hand"}, {"name": "none"}]
    found = workflows.read(document(arguments={"parameters": given}))
    assert found.arguments == {"until": "2024-05-20", "odd": "by hand", "none": None}


def runs(cluster: KnownCluster) -> Workflows:
    cluster.kinds.add((pipeline.ARGO, "WorkflowTemplate"))
    return Workflows(cast("Cluster", cluster), "growth", "shop")


def test_a_cluster_that_does_not_answer_for_a_while_is_asked_again_and_said_once() -> None:
    cluster = KnownCluster(document("Running"))
    told: list[str] = []
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        cluster.gone = len(pauses) in (1, 2)
        if len(pauses) == 4:
            cluster.objects[0] = document("Succeeded")

    seen = [each.status for each in runs(cluster).follow("shop-train-1", told.append, pause=pause)]
    assert seen == ["running", "running", "done"]
    assert told == ["the cluster of the tests does not answer"]


def test_a_run_that_nobody_can_read_ends_the_watching() -> None:
    class Closed(KnownCluster):
        def get(self, *_: Any, **__: Any) -> Any:
            raise RefusedError("no right to get workflows")

    with pytest.raises(RefusedError, match="no right"):
        next(runs(Closed()).follow("shop-train-1", lambda _: None, pause=lambda _: None))


def test_what_failed_is_told_by_its_own_pods() -> None:
    of = {"labels": {workflows.OF: "shop-train-1"}}
    bad = made("Pod", "bad", "growth", metadata=of, status={"phase": "Failed"})
    good = made("Pod", "good", "growth", metadata=of, status={"phase": "Succeeded"})
    cluster = KnownCluster(document("Failed"), bad, good, log={"bad": "one\ntwo", "good": "three"})
    assert runs(cluster).last_words("shop-train-1", 1) == [("bad", ["two"])]


def test_a_cluster_without_argo_says_what_to_do() -> None:
    with pytest.raises(RefusedError, match="runs no pipelines") as refused:
        Workflows(cast("Cluster", KnownCluster()), "growth", "shop")
    assert "--here" in (refused.value.hint or "")


def test_a_cluster_that_is_gone_is_no_run_that_is_not_there() -> None:
    cluster = KnownCluster(document())
    found = runs(cluster)
    cluster.gone = True
    with pytest.raises(UnreachableError):
        found.get("shop-train-1")
