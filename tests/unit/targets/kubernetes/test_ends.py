from __future__ import annotations

from typing import Any

import pytest

from knowncluster import KnownCluster, made
from mlplat.errors import RefusedError
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import ends


def endpoint(name: str, **metadata: Any) -> dict[str, Any]:
    return made("ModelEndpoint", name, "flights", names.API_VERSION, metadata=metadata)


def platform(*teams: str) -> PlatformSpec:
    written = {
        "version": 2,
        "target": "kubernetes",
        "engine": {},
        "kubernetes": {"context": "here", "production": False},
        "teams": {each: {} for each in teams},
    }
    return parse_platform(written, "test")


def test_endpoints_are_waited_for_until_their_controller_has_ended_them() -> None:
    held = endpoint("flights.late", finalizers=["mlplat.dev/ended"])
    cluster, told = KnownCluster(held, endpoint("flights.free")), list[str]()

    def controller(_: float) -> None:
        held["metadata"]["finalizers"] = []
        cluster.delete(names.API_VERSION, "ModelEndpoint", "flights.late", "flights")

    ends.drain(cluster, told.append, pause=controller)  # type: ignore[arg-type]
    assert ends.serving(cluster) == []  # type: ignore[arg-type]


def test_one_that_stays_is_named_and_nothing_else_is_ended() -> None:
    cluster = KnownCluster(endpoint("flights.late", finalizers=["mlplat.dev/ended"]))
    with pytest.raises(RefusedError, match="flights/late: not ended") as caught:
        ends.drain(cluster, lambda _: None, seconds=0, pause=lambda _: None)  # type: ignore[arg-type]
    assert "`--skip-drain`" in str(caught.value.hint)


def test_letting_go_asks_no_controller() -> None:
    cluster = KnownCluster(endpoint("flights.late", finalizers=["mlplat.dev/ended"]), endpoint("flights.free"))
    ends.release(cluster)  # type: ignore[arg-type]
    assert ends.serving(cluster) == []  # type: ignore[arg-type]


def test_namespaces_and_volumes_that_are_left_are_told() -> None:
    spec = platform("flights")
    cluster = KnownCluster(
        made("Namespace", "flights", status={"phase": "Terminating"}),
        made("Namespace", "somebodys", status={"phase": "Active"}),
        made("PersistentVolume", "pv-1", spec={"claimRef": {"namespace": "mlplat"}}),
        made("PersistentVolume", "pv-2", spec={"claimRef": {"namespace": "somebodys"}}),
    )
    assert ends.left(cluster, spec) == ["namespace flights (Terminating)", "volume pv-1 of mlplat"]  # type: ignore[arg-type]
    assert ends.holds_data(spec)


def workflow(name: str, **labels: str) -> dict[str, Any]:
    return made("Workflow", name, "flights", "argoproj.io/v1alpha1", metadata={"labels": labels})


def test_a_team_that_is_gone_from_the_file_is_refused_with_all_that_it_still_has() -> None:
    labels = {names.TEAM: "flights", names.PART_OF: "mlplat"}
    space, other = (made("Namespace", each, metadata={"labels": labels}) for each in ("flights", "somebodys"))
    other["metadata"]["labels"] = {names.TEAM: "somebodys"}
    endpoints = [endpoint("flights.late"), endpoint("flights.early")]
    ended = workflow("train-0", **{ends.ENDED: "true"})
    cluster = KnownCluster(space, other, *endpoints, workflow("train-1"), ended)
    with pytest.raises(RefusedError) as caught:
        ends.refuse_removed(cluster, platform())  # type: ignore[arg-type]
    assert "`teams.flights`: gone from the stack file" in caught.value.message
    assert "endpoints: 2 (flights/early, flights/late); running pipelines: 1 (train-1)" in caught.value.message
    assert "`mlplat endpoint delete PROJECT/NAME`" in str(caught.value.hint)
    ends.refuse_removed(cluster, platform("flights"))  # type: ignore[arg-type]
    ends.refuse_removed(KnownCluster(space, other, ended), platform())  # type: ignore[arg-type]
