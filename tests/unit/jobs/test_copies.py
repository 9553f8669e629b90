from __future__ import annotations

import base64
from typing import Any

import pytest

from mlplat.errors import MlplatError
from mlplat.jobs import copies


class Cluster:
    """Secrets by namespace and name, and what was written."""

    def __init__(self, **kept: dict[str, Any]) -> None:
        self.kept = {
            (namespace, name): {"metadata": {"name": name}, **kept[f"{namespace}__{name}"]}
            for namespace, name in (each.split("__") for each in kept)
        }
        self.written: list[dict[str, Any]] = []

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        assert (api_version, kind) == ("v1", "Secret")
        return self.kept.get((str(namespace), name))

    def apply(self, document: dict[str, Any], *, manager: str) -> dict[str, Any]:
        assert manager == copies.MANAGER
        self.written.append(document)
        self.kept[(document["metadata"]["namespace"], document["metadata"]["name"])] = document
        return document

    def create(self, document: dict[str, Any], *, manager: str) -> dict[str, Any]:
        assert (document["metadata"]["namespace"], document["metadata"]["name"]) not in self.kept
        return self.apply(document, manager=manager)


KEYS = {"type": "Opaque", "data": {"access_key": "YQ==", "secret_key": "Yg=="}}


def test_every_namespace_gets_what_it_lacks_and_keeps_what_is_the_same() -> None:
    cluster = Cluster(mlplat__objects=KEYS, flights__objects=KEYS)
    done = copies.run(cluster, "mlplat", ["objects"], ["flights", "pricing"])
    assert done == {"flights/objects": "unchanged", "pricing/objects": "made"}
    assert [each["metadata"]["namespace"] for each in cluster.written] == ["pricing"]
    assert cluster.written[0]["data"] == KEYS["data"]


def test_a_key_that_was_turned_reaches_the_teams() -> None:
    former = {**KEYS, "data": {"access_key": "YQ==", "secret_key": "eA=="}}
    cluster = Cluster(mlplat__objects=KEYS, flights__objects=former)
    assert copies.run(cluster, "mlplat", ["objects"], ["flights"]) == {"flights/objects": "changed"}
    assert copies.run(cluster, "mlplat", ["objects"], ["flights"]) == {"flights/objects": "unchanged"}


def test_a_registrys_secret_stays_of_its_kind() -> None:
    registry = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}
    cluster = Cluster(mlplat__registry=registry)
    copies.run(cluster, "mlplat", ["registry"], ["flights"])
    assert cluster.written[0]["type"] == "kubernetes.io/dockerconfigjson"


def test_nothing_is_copied_where_one_is_missing() -> None:
    cluster = Cluster(mlplat__objects=KEYS)
    with pytest.raises(MlplatError, match="`mlplat` has no secret `registry`"):
        copies.run(cluster, "mlplat", ["objects", "registry"], ["flights"])
    assert cluster.written == []


@pytest.mark.parametrize("argv", [[], ["--secret", "a"], ["--to", "b"]])
def test_wrong_usage_is_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        copies.main(argv)
    assert ended.value.code == 2


def test_a_teams_key_is_made_once_and_is_its_own() -> None:
    cluster = Cluster(mlplat__objects=KEYS)
    teams = ["flights", "pricing"]
    done = copies.run(cluster, "mlplat", ["objects"], teams, ["log"])
    assert done == {f"{team}/{name}": "made" for team in teams for name in ("log", "objects")}
    keys = [base64.b64decode(cluster.kept[team, "log"]["data"]["key"]) for team in teams]
    assert [len(key) for key in keys] == [32, 32]
    assert keys[0] != keys[1]
    assert set(copies.run(cluster, "mlplat", [], teams, ["log"]).values()) == {"unchanged"}
    assert keys == [base64.b64decode(cluster.kept[team, "log"]["data"]["key"]) for team in teams]
