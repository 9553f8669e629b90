from __future__ import annotations

import pytest

from knowncluster import KnownCluster, made, pod
from mlplat.errors import UsageError
from mlplat.manifests import names
from mlplat.targets.kubernetes import logs


def test_all_pods_of_a_service_are_told_oldest_first() -> None:
    cluster = KnownCluster(
        pod("tracking-b", "tracking", since="2026-01-02T00:00:00Z"),
        pod("tracking-a", "tracking", since="2026-01-01T00:00:00Z"),
        pod("other", "other"),
        log={"tracking-a": "1\n2\n3", "tracking-b": "4"},
    )
    found = logs.sources(cluster, [], "tracking")  # type: ignore[arg-type]
    told = [(source.name, line) for source, line in logs.last(cluster, found, 2)]  # type: ignore[arg-type]
    assert told == [("tracking-a", "2"), ("tracking-a", "3"), ("tracking-b", "4")]


def test_of_a_pod_that_has_just_died_its_last_words_are_told() -> None:
    cluster = KnownCluster(pod("tracking-a", "tracking"), log={"tracking-a/previous": "no database"})
    found = logs.sources(cluster, [], "tracking")  # type: ignore[arg-type]
    assert [line for _, line in logs.last(cluster, found, 5)] == ["no database"]  # type: ignore[arg-type]


def test_an_endpoints_model_servers_are_found_in_the_teams_namespaces() -> None:
    labels = {names.PROJECT: "flights", names.ENDPOINT: "late"}
    server = made(
        "Pod", "flights-late-r1", "aviation", metadata={"labels": labels}, spec={"containers": [{"name": "s"}]}
    )
    cluster = KnownCluster(server, log={"flights-late-r1": "ready"})
    found = logs.sources(cluster, ["aviation"], "flights/late")  # type: ignore[arg-type]
    assert [(each.name, each.container) for each in found] == [("flights-late-r1", "s")]


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        logs.sources(KnownCluster(pod("tracking-a", "tracking")), [], "trackign")  # type: ignore[arg-type]
    assert "there are logs of tracking, gateway" in str(caught.value.hint)
