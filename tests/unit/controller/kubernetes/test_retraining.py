from __future__ import annotations

import json
from typing import Any, cast

import pytest

from mlplat.cluster import Cluster, ConflictError, UnknownKindError
from mlplat.controller.kubernetes import retraining, store
from mlplat.errors import RefusedError
from mlplat.manifests import names, pipeline

TEMPLATE = (pipeline.ARGO, "WorkflowTemplate", "flights-training", "growth")


class Argo:
    """A cluster on which there are these templates; what is made is kept, once for each name."""

    def __init__(self, *templates: tuple[str, str, str, str], argo: bool = True, owner: str = "flights") -> None:
        self.templates, self.argo, self.owner = templates, argo, owner
        self.made: dict[str, dict[str, Any]] = {}

    def get(self, *named: str) -> dict[str, Any] | None:
        if not self.argo:
            raise UnknownKindError("the cluster has no `WorkflowTemplate`")
        return {"metadata": {"labels": {names.PROJECT: self.owner}}} if named in self.templates else None

    def create(self, document: dict[str, Any]) -> dict[str, Any]:
        name = document["metadata"]["name"]
        if name in self.made:
            raise ConflictError(f"{name} already exists")
        self.made[name] = document
        return document


def begin(argo: Argo, key: str = "drift-7", **parameters: Any) -> str:
    given: dict[str, Any] = {"key": key, "reason": "drift of `distance`", "parameters": parameters}
    return retraining.begin(cast("Cluster", argo), "growth", "flights", "training", **given)


def test_a_run_is_of_the_projects_own_flow_and_says_why() -> None:
    argo = Argo(TEMPLATE)
    name = begin(argo, days=30)
    made = argo.made[name]
    assert made == pipeline.run(
        "flights", "training", namespace="growth", key="drift-7", reason="drift of `distance`", parameters={"days": 30}
    )
    assert made["spec"]["workflowTemplateRef"]["name"] == TEMPLATE[2]


def test_the_same_wish_again_is_the_same_run() -> None:
    argo = Argo(TEMPLATE)
    assert begin(argo, days=30) == begin(argo, days=60)
    (made,) = argo.made.values()
    assert made["spec"]["arguments"]["parameters"] == [{"name": "days", "value": "30"}]


def test_another_wish_is_another_run() -> None:
    argo = Argo(TEMPLATE)
    assert begin(argo, "drift-7") != begin(argo, "drift-8")
    assert len(argo.made) == 2


@pytest.mark.parametrize("there", [(), ((*TEMPLATE[:3], "other"),)], ids=["none", "another team's"])
def test_nothing_is_begun_of_a_flow_that_is_not_there(there: tuple[tuple[str, str, str, str], ...]) -> None:
    argo = Argo(*there)
    with pytest.raises(RefusedError, match="`training` of the project `flights` is not on the platform yet") as refused:
        begin(argo)
    assert refused.value.hint is not None
    assert "mlplat publish" in refused.value.hint
    assert argo.made == {}


def test_a_template_of_the_same_name_that_is_another_projects_is_not_run() -> None:
    argo = Argo(TEMPLATE, owner="flights-training")
    with pytest.raises(RefusedError, match="not on the platform yet"):
        begin(argo)
    assert argo.made == {}


def test_asking_is_no_other_wish_and_is_seen_all_the_same() -> None:
    before = {"metadata": {"generation": 3}}
    asked = {"metadata": {"generation": 3, "annotations": {retraining.ASKED: "{}"}}}
    assert store._wish_of(before) != store._wish_of(asked)
    assert store._wish_of(asked) == store._wish_of(json.loads(json.dumps(asked)))


def test_a_cluster_without_argo_says_so() -> None:
    with pytest.raises(UnknownKindError):
        begin(Argo(argo=False))
