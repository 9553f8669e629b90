"""What is published of a project, by which keys, and what is refused before anything is compiled."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, cast

import pytest

from knowncluster import KnownCluster, made
from mlplat.cluster import Cluster
from mlplat.errors import MlplatError, NotReadyError, RefusedError, UsageError
from mlplat.manifests import flows
from mlplat.manifests.flows import Terms
from mlplat.manifests.pipeline import Nodes
from mlplat.runs import publish
from mlplat.runs.commit import Commit
from mlplat.spec.base import parse
from mlplat.spec.pipelines import PipelineSpec, ScheduleSpec, StepSpec
from mlplat.spec.project import ProjectSpec

ADDRESS = "http://127.0.0.1:8333"
TOLD = Terms(
    platform="acme", tracking="http://tracking.mlplat.svc:5000", root="s3://pipelines/growth/metaflow",
    region="us-east-1", endpoint="http://objects.mlplat.svc:8333", secret="objects", base="python:3.12",  # noqa: S106 - its name
    processors="linux/amd64",
)  # fmt: skip


def spec(**pipelines: Any) -> ProjectSpec:
    data = {"source": "flights", "target": "late"}
    plain = {"project": "shop", "model": "late", "task": "binary", "data": data, "pipelines": pipelines}
    return parse(ProjectSpec, plain, "mlplat.yaml")


def folder(place: Path, *names: str) -> Path:
    (place / "flows").mkdir()
    for each in names:
        (place / "flows" / each).touch()
    return place


def test_every_flow_is_published_each_with_what_is_said_of_it(tmp_path: Path) -> None:
    found = publish.found_in(folder(tmp_path, "train.py", "score.py", "_common.py"), spec(train={"retries": 5}))
    assert {name: each.retries for name, each in found.items()} == {"score": PipelineSpec().retries, "train": 5}


def test_what_is_said_of_a_flow_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`pipelines\.score` in mlplat\.yaml") as refused:
        publish.found_in(folder(tmp_path, "train.py"), spec(score={}))
    assert refused.value.hint == "flows here: `train`"


def test_a_name_that_no_cluster_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`flows/score_all\.py` cannot be published"):
        publish.found_in(folder(tmp_path, "score_all.py"), spec())


@pytest.mark.parametrize(
    ("given", "where"),
    [({"default": StepSpec(pool="big")}, "default"), ({"steps": {"fit": StepSpec(pool="big")}}, r"steps\.fit")],
)
def test_a_pool_that_the_team_has_not_is_refused(given: dict[str, Any], where: str) -> None:
    with pytest.raises(UsageError, match=rf"`pipelines\.train\.{where}\.pool`.* no pool `big`"):
        publish.refuse_pools({"train": PipelineSpec(**given)}, TOLD)


def test_a_pod_asks_for_one_share_of_a_shared_gpu_and_for_as_many_whole_ones_as_it_likes() -> None:
    shared = {"shared": Nodes(gpu_resource="nvidia.com/gpu.shared"), "whole": Nodes()}
    told = TOLD.model_copy(update={"pools": shared})
    for pool, gpu in (("shared", 1), ("whole", 8)):
        publish.refuse_pools({"train": PipelineSpec(default=StepSpec(pool=pool, gpu=gpu))}, told)
    with pytest.raises(UsageError, match=r"`pipelines\.train\.default\.gpu`: asks for 2 GPUs where each is shared"):
        publish.refuse_pools({"train": PipelineSpec(default=StepSpec(pool="shared", gpu=2))}, told)


@pytest.mark.parametrize("image", ["shop:1", "shop@sha256:12", "shop", "shop@sha256:" + "g" * 64])
def test_an_image_without_a_whole_digest_is_refused(image: str) -> None:
    with pytest.raises(UsageError, match="has no digest"):
        publish.refuse_moving(image)


def storage(cluster: KnownCluster, own: dict[str, str], told: Terms = TOLD) -> Any:
    return publish.storage(cast("Cluster", cluster), "growth", told, ADDRESS, own)


def test_keys_of_ones_own_go_before_the_teams() -> None:
    own = storage(KnownCluster(), {"AWS_ACCESS_KEY_ID": "mine"})
    assert (own.access_key, own.endpoint) == (None, ADDRESS)
    data = {key: base64.b64encode(key.upper().encode()).decode() for key in ("access_key", "secret_key")}
    of_team = storage(KnownCluster(made("Secret", "objects", "growth", data=data)), {})
    assert (of_team.access_key, of_team.secret_key) == ("ACCESS_KEY", "SECRET_KEY")


def test_without_a_secret_the_environments_identity_writes() -> None:
    assert storage(KnownCluster(), {}, TOLD.model_copy(update={"secret": None})).access_key is None


class Closed(KnownCluster):
    def get(self, *_: Any, **__: Any) -> Any:
        raise RefusedError("no right to get secrets")


@pytest.mark.parametrize(("cluster", "error"), [(Closed(), RefusedError), (KnownCluster(), NotReadyError)])
def test_keys_that_cannot_be_read_name_the_way_out(cluster: KnownCluster, error: type[MlplatError]) -> None:
    with pytest.raises(error) as refused:
        storage(cluster, {})
    assert "AWS_ACCESS_KEY_ID" in (refused.value.hint or "")


def test_a_schedule_stands_behind_what_it_begins() -> None:
    wanted = {"train": PipelineSpec(schedule=ScheduleSpec(cron=["30 4 * * mon"])), "score": PipelineSpec()}
    compiled: dict[str, Any] = {"metadata": {}, "spec": {"templates": []}}
    commit = Commit("1" * 40, Path())
    site = TOLD.site("growth", "shop", "shop@sha256:1")
    found = publish.documents(wanted, site, commit, dict.fromkeys(wanted, compiled))
    assert [each["kind"] for each in found] == ["WorkflowTemplate", "WorkflowTemplate", "CronWorkflow"]


def test_a_platform_of_before_says_what_its_keepers_do() -> None:
    with pytest.raises(NotReadyError, match="says nothing to flows") as refused:
        publish.terms(cast("Cluster", KnownCluster()), "growth")
    assert "mlplat up" in (refused.value.hint or "")
    odd = made("ConfigMap", flows.NAME, "growth", data={flows.FILE: "{}"})
    with pytest.raises(MlplatError, match="flows can go by"):
        publish.terms(cast("Cluster", KnownCluster(odd)), "growth")
