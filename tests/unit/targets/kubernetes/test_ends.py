from __future__ import annotations

from typing import Any

import pytest

from knowncluster import KnownCluster, made
from mlplat.errors import RefusedError
from mlplat.manifests import names
from mlplat.spec.platform import parse_platform
from mlplat.targets.kubernetes import ends


def endpoint(name: str, **metadata: Any) -> dict[str, Any]:
    return made("ModelEndpoint", name, "flights", names.API_VERSION, metadata=metadata)


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
    spec = parse_platform(
        {
            "version": 2,
            "target": "kubernetes",
            "engine": {},
            "kubernetes": {"context": "here", "production": False},
            "teams": {"flights": {}},
        },
        "test",
    )
    cluster = KnownCluster(
        made("Namespace", "flights", status={"phase": "Terminating"}),
        made("Namespace", "somebodys", status={"phase": "Active"}),
        made("PersistentVolume", "pv-1", spec={"claimRef": {"namespace": "mlplat"}}),
        made("PersistentVolume", "pv-2", spec={"claimRef": {"namespace": "somebodys"}}),
    )
    assert ends.left(cluster, spec) == ["namespace flights (Terminating)", "volume pv-1 of mlplat"]  # type: ignore[arg-type]
    assert ends.holds_data(spec)
