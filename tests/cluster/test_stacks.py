"""A real API server takes every Kubernetes object of this repository's stacks, in the worst order there may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import clusterprogram
import kubeapi
import kubecrds
import kubeobjects
from mlplat.cluster import Cluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", params=["staging", "dev", "prod"])
def stack(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def wanted(stack: str) -> list[kubeobjects.Document]:
    unknown = kubecrds.unchecked()
    found = kubeobjects.documents(clusterprogram.graph(stack))
    return [each for each in found if each["apiVersion"].partition("/")[0] not in unknown]


@pytest.fixture(scope="module")
def empty(stack: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster of a stack's own: what one has made would be what the next one changes."""
    folder = tmp_path_factory.mktemp(stack) / "api"
    with kubeapi.running(folder, data=kubecrds.prepared()) as api, api.cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def said(empty: Cluster, wanted: list[kubeobjects.Document]) -> list[kubeobjects.Refusal]:
    """Return what the API server says when everything is applied, each thing only after what it depends on."""
    return kubeobjects.refusals(empty, wanted)


def test_the_api_server_takes_everything(said: list[kubeobjects.Refusal], wanted: list[kubeobjects.Document]) -> None:
    assert len(wanted) > 50
    assert not said, "\n".join(map(str, said))


def test_to_apply_it_again_changes_nothing(
    empty: Cluster, wanted: list[kubeobjects.Document], said: list[kubeobjects.Refusal]
) -> None:
    changed = []
    for each in wanted:
        named = each["metadata"]
        before = empty.get(each["apiVersion"], each["kind"], named["name"], named.get("namespace"))
        if before and _meant(empty.apply(each)) != _meant(before):
            changed.append(f"{each['kind']} {named['name']}")
    assert not changed


def test_admission_takes_the_pods_that_controllers_will_make(
    empty: Cluster, wanted: list[kubeobjects.Document], said: list[kubeobjects.Refusal]
) -> None:
    assert len(list(kubeobjects.pods(wanted))) >= 4
    refused = kubeobjects.refused_pods(empty, wanted)
    assert not refused, "\n".join(map(str, refused))


def _meant(document: kubeobjects.Document) -> kubeobjects.Document:
    # A status that its definition fills in is written with the second apply, and is nobody's wish.
    kept = {key: each for key, each in document["metadata"].items() if key not in {"managedFields", "resourceVersion"}}
    return {**document, "metadata": kept, "status": None}
