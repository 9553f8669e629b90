"""The API server refuses to end what still serves, by whichever way it is asked to; asked here by dry runs alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import kubecrds
import kubeendpoints
from commands import until
from mlplat.cluster import Cluster
from mlplat.errors import MlplatError
from mlplat.manifests import names
from mlplat.targets.kubernetes import admission, namespaces

pytestmark = pytest.mark.cluster
BUSY, IDLE = "admission-busy", "admission-idle"
LATE: dict[str, Any] = {
    "apiVersion": names.API_VERSION,
    "kind": "ModelEndpoint",
    "metadata": {"name": "flights.late", "namespace": BUSY},
    "spec": {"model": "flights/late", "version": "1"},
}
Document = dict[str, Any]


def workflow(name: str, **labels: str) -> Document:
    metadata = {"name": name, "namespace": BUSY, "labels": labels}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": {}}


def home(*teams: str) -> Document:
    made = namespaces.namespace(names.NAMESPACE, "restricted")
    made["metadata"]["annotations"] = {admission.TEAMS: ",".join(teams)}
    return made


def remove(cluster: Cluster, *documents: Document) -> None:
    for each in documents:
        cluster.delete(each["apiVersion"], each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))


@pytest.fixture
def cluster(api: Cluster) -> Iterator[Cluster]:
    """Return a cluster with two teams, one of which has an endpoint; policies go again, and hold up no other test."""
    kubeendpoints.define(api)
    teams = (BUSY, IDLE)
    for team in teams:
        api.apply(namespaces.namespace(team, "restricted"))
    policies = admission.endpoints(teams)
    if "argoproj.io" not in kubecrds.unchecked():
        policies += admission.workflows(teams)
    made = [*policies, LATE, admission.standing()]
    for each in (home(*teams), *made):
        api.apply(each)
    yield api
    remove(api, *reversed(made))


def refusal(ask: Any) -> str:
    """Return why the API server would not do it; empty where it would."""
    try:
        ask()
    except MlplatError as error:
        return error.told()
    return ""


def would_name(cluster: Cluster, *teams: str) -> str:
    return refusal(lambda: cluster.apply(home(*teams), dry_run=True))


def would_delete(cluster: Cluster, path: str) -> str:
    return refusal(lambda: cluster.ask("DELETE", f"/api/v1/{path}", {"dryRun": "All"}))


def test_what_serves_is_ended_by_name_before_its_team_or_its_platform(cluster: Cluster) -> None:
    standing, home_ = f"namespaces/mlplat/configmaps/{admission.STANDING}", f"namespaces/{names.NAMESPACE}"

    def refusals() -> list[str]:
        deleted = (standing, home_, f"namespaces/{BUSY}")
        return [would_name(cluster, IDLE), *(would_delete(cluster, each) for each in deleted)]

    # A policy holds a moment after it was made, and not all of them at the same moment.
    until(lambda: all(refusals()), what="the policies")
    for said in refusals():
        assert "the endpoint flights/late would wait" in said
        assert "`mlplat endpoint delete flights/late`" in said
    assert would_name(cluster, BUSY) == ""
    assert would_name(cluster, BUSY, IDLE, "another") == ""
    assert would_delete(cluster, f"namespaces/{IDLE}") == ""
    remove(cluster, LATE)
    until(lambda: not would_delete(cluster, standing), what="the end of the endpoint")
    until(lambda: not would_name(cluster, IDLE), what="the same for a team's name")
    until(lambda: not would_delete(cluster, f"namespaces/{BUSY}"), what="the same for a team's home")


@pytest.mark.skipif("argoproj.io" in kubecrds.unchecked(), reason="nobody has the definition of workflows here")
def test_a_team_stays_named_while_its_pipeline_runs_and_the_platform_may_end(cluster: Cluster) -> None:
    remove(cluster, LATE)
    running, ended = workflow("train-1"), workflow("train-0", **{"workflows.argoproj.io/completed": "true"})
    cluster.apply(ended)
    cluster.apply(running)
    # At first it is the endpoint still, or nothing, that is said.
    said = "the pipeline train-1 of the team admission-busy runs"
    until(lambda: said in would_name(cluster, IDLE), what="the policy")
    until(lambda: not would_delete(cluster, f"namespaces/{BUSY}"), what="the end of the endpoint")
    assert would_name(cluster, BUSY) == ""
    remove(cluster, running)
    until(lambda: not would_name(cluster, IDLE), what="the end of the pipeline")
