"""What `mlplat run`, `publish` and `retrain` refuse before anything runs, on a cluster and on this computer, and what
is told of a cluster's runs and models."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import fakebuilder
from knowncluster import KnownCluster, made
from mlplat.cli import cli, dataplaces, endpoints, publish
from mlplat.contracts import Connection
from mlplat.controller.registry import MlflowRegistry
from mlplat.controller.stores import Entry
from mlplat.errors import MlplatError, NotReadyError, RefusedError, UnreachableError
from mlplat.images import project
from mlplat.labels import Name
from mlplat.manifests import flows, names, pipeline
from mlplat.manifests.flows import Terms
from mlplat.runs import start
from mlplat.runs.catalogue import Catalogue, Version
from mlplat.spec.project import read


@pytest.fixture
def cluster(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> KnownCluster:
    """Return the cluster of a platform's stack `staging`; commands run in a project of one of its teams."""
    tracking = "http://tracking.mlplat.svc:5000"
    Connection(
        "mlplat", "staging", "kubernetes", tracking, "", "kubernetes:here", namespaces={"tiny": "growth"}
    ).write()
    monkeypatch.chdir(tiny)
    known = KnownCluster()
    monkeypatch.setattr(Entry, "cluster", lambda _: known)
    return known


def run(*words: str) -> Result:
    """Type a command; its exit code is the one a person would see."""
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    if isinstance(result.exception, MlplatError):
        result.exit_code = result.exception.exit_code
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("words", [("run", "train"), ("run", "list"), ("run", "show"), ("publish",)])
def test_a_cluster_that_runs_no_pipelines_says_so_and_what_is_left(
    cluster: KnownCluster, tiny: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("mlplat.runs.commit._git", lambda *words: b"" if "status" in words else b"1" * 40)
    monkeypatch.setattr("mlplat.runs.commit.Commit.unpacked", lambda _: contextlib.nullcontext(tiny))
    refused = run(*words, "-s", "staging")
    assert refused.exit_code == 1
    assert "runs no pipelines" in str(refused.exception)
    assert "`mlplat run --here`" in str(getattr(refused.exception, "hint", ""))


def test_a_cluster_that_runs_no_pipelines_has_its_prediction_logs_looked_into_all_the_same(
    cluster: KnownCluster, tiny: Path
) -> None:
    told = Terms(platform="acme", tracking="t", root="r", data="s3://data/growth", region="r", base="b", processors="p")
    cluster.objects.append(made("ConfigMap", flows.NAME, "growth", data={flows.FILE: told.model_dump_json()}))
    with dataplaces.reach(read(tiny / "mlplat.yaml"), "staging") as there:
        assert there.log([]).address == "s3://data/growth/predictions"


@pytest.mark.parametrize("option", [("--pdb",), ("--from", "fit")])
def test_what_only_a_process_here_can_do_names_the_way_to_it(cluster: KnownCluster, option: tuple[str, ...]) -> None:
    refused = run("run", "train", *option, "-s", "staging")
    assert refused.exit_code == 2
    assert "`--here`" in str(getattr(refused.exception, "hint", ""))


@pytest.mark.parametrize("words", [("run", "train"), ("publish",)])
def test_a_project_of_no_team_is_told_who_adds_it(
    cluster: KnownCluster, tiny: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("mlplat.runs.commit._git", lambda *words: b"" if "status" in words else b"1" * 40)
    (tiny / "mlplat.yaml").write_text((tiny / "mlplat.yaml").read_text().replace("project: tiny", "project: stray"))
    refused = run(*words, "-s", "staging")
    assert "`stray` belongs to no team" in str(refused.exception)
    assert "`teams.<team>.projects`" in str(getattr(refused.exception, "hint", ""))


def test_a_run_here_registers_through_a_forwarded_port(cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    @contextlib.contextmanager
    def reach(_: endpoints.Place, url: str) -> Iterator[str]:
        asked.append(url)
        yield "http://127.0.0.1:5001"

    def check(connection: Connection) -> None:
        raise UnreachableError(connection.tracking)

    monkeypatch.setattr(endpoints.Place, "reach", reach)
    monkeypatch.setattr(start, "check_answers", check)
    result = run("run", "train", "--here", "-s", "staging")
    assert asked == ["http://tracking.mlplat.svc:5000"]
    assert str(result.exception) == "http://127.0.0.1:5001"


def test_runs_here_are_still_listed_beside_a_cluster(cluster: KnownCluster) -> None:
    assert "no runs yet" in run("run", "list", "--here", "-s", "staging").stderr


@pytest.mark.parametrize("words", [("run", "show", "shop-train-1"), ("run", "cancel", "shop-train-1")])
def test_a_name_of_a_clusters_run_is_no_number_here(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tiny)
    refused = run(*words)
    assert refused.exit_code == 2
    assert "`-s` names the stack" in str(getattr(refused.exception, "hint", ""))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("publish",), "tiny is at no commit"),
        (("publish", "--image", "x@sha256:0"), "`--image` is for a platform on a cluster"),
        (("retrain", "tiny/late"), "there is no endpoint tiny/late"),
    ],
)
def test_what_cannot_run_unattended_on_this_computer_is_said(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    from mlplat.controller.store import SqliteStore

    path = tmp_path / "endpoints.db"
    SqliteStore(path).close()
    Connection("mlplat", "local", "local", "", "", f"sqlite:///{path}").write()
    monkeypatch.chdir(tiny)
    refused = run(*words)
    assert refused.exit_code in (1, 2)
    assert told in str(refused.exception)


def test_a_run_here_is_always_waited_for(tiny: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny)
    assert run("run", "train", "--no-wait").exit_code == 2


def test_the_image_is_that_of_the_unpacked_commit_by_its_digest(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny / "Dockerfile").write_text("FROM scratch\nCOPY flows /flows\n")
    where: dict[str, str | None] = {"registry": "registry.example.com/mlplat", "base": "python:3.12"}
    told = Terms(platform="acme", tracking="", root="", region="", processors="linux/amd64", **where)
    named = project.reference(tiny, "tiny", platform="linux/amd64", **where)  # type: ignore[arg-type]
    programs = fakebuilder.programs(tmp_path / "bin", monkeypatch)
    programs.install("buildah", "skopeo")
    programs.answer({"skopeo": (0, "sha256:" + "1" * 64, "")})
    found = publish._image(tiny, "tiny", told, None, "staging")
    assert found == "registry.example.com/mlplat/projects/tiny@sha256:" + "1" * 64
    assert [f"docker://{named}"] == [word for each in programs.asked for word in each if word.startswith("docker://")]
    programs.answer({"skopeo": (1, "", "manifest unknown")})
    with pytest.raises(NotReadyError, match="is not in the registry") as absent:
        publish._image(tiny, "tiny", told, None, "staging")
    assert "`mlplat images push . -s staging`" in (absent.value.hint or "")
    with pytest.raises(RefusedError, match="has no registry"):
        publish._image(tiny, "tiny", told.model_copy(update={"registry": None}), None, "staging")


SUCCEEDED = {"phase": "Succeeded", "nodes": {}}


@pytest.mark.parametrize("answer", ["7", "", UnreachableError("no way there")], ids=["7", "none", "unreachable"])
def test_a_run_that_is_done_says_which_version_it_registered(
    cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch, answer: str | UnreachableError
) -> None:
    labels = {names.PROJECT: "tiny", names.MANAGED_BY: names.MANAGER, pipeline.FLOW: "train"}
    about = {"labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"}
    workflow = made("Workflow", "tiny-train-1", "growth", pipeline.ARGO, metadata=about, spec={}, status=SUCCEEDED)
    cluster.objects.append(workflow)
    cluster.kinds |= {(pipeline.ARGO, "Workflow"), (pipeline.ARGO, "WorkflowTemplate")}
    asked: list[tuple[str, str]] = []

    def registered_by(_: MlflowRegistry, model: Name, key: str) -> str:
        asked.append((model.id, key))
        if isinstance(answer, UnreachableError):
            raise answer
        return answer

    monkeypatch.setattr(endpoints.Place, "reach", lambda _, url: contextlib.nullcontext(url))
    monkeypatch.setattr(MlflowRegistry, "registered_by", registered_by)
    shown = run("run", "show", "tiny-train-1", "-s", "staging")
    assert (f"tiny/late {answer}" in shown.stdout) == (answer == "7")
    assert ("cannot be asked" in shown.stderr) == isinstance(answer, UnreachableError)
    told = json.loads(run("run", "show", "tiny-train-1", "-s", "staging", "--json").stdout)
    assert told["version"] == ("7" if answer == "7" else None)
    # By the key that the run itself writes down: the name of its Workflow.
    assert asked[0] == ("tiny.late", "tiny-train-1")


def test_models_on_a_cluster_are_listed_through_a_forwarded_port(
    cluster: KnownCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def versions(catalogue: Catalogue, _: Name | None) -> list[Version]:
        asked.append(catalogue._server.address)
        return []

    monkeypatch.setattr(endpoints.Place, "reach", lambda *_: contextlib.nullcontext("http://127.0.0.1:5001"))
    monkeypatch.setattr(Catalogue, "versions", versions)
    assert json.loads(run("model", "list", "-s", "staging", "--json").stdout) == []
    assert asked == ["http://127.0.0.1:5001"]
