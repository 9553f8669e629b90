from __future__ import annotations

import json
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlplat.bundle import digest
from mlplat.errors import RefusedError, UnreachableError
from mlplat.labels import Name
from mlplat.runtime import registry

NAME = Name("tests", "late")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Return a client of a real MLflow store: of files, the only one its small client has without a server."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(registry.TRACKING, (tmp_path / "store").as_uri())
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)  # MLflow sets it, which is undone with this
    return MlflowClient()


def entry(folder: Path, text: str = "a model", **tags: str) -> registry.Entry:
    folder.mkdir(exist_ok=True)
    (folder / "model.txt").write_text(text)
    found = digest(folder)
    tags = {"mlplat.digest": found, "mlplat.window": "sha256:w", **tags}
    return registry.Entry(NAME, folder, found, {"trees": 3}, {"auc": 0.75}, tags, {"version": 1, "passed": True})


def test_before_there_is_a_champion_there_is_none(store: MlflowClient, tmp_path: Path) -> None:
    assert registry.is_connected()
    assert registry.champion(NAME, tmp_path / "fetched") is None
    store.create_registered_model(NAME.id)
    assert registry.champion(NAME, tmp_path / "fetched") is None


def test_what_is_registered_is_what_was_judged(store: MlflowClient, tmp_path: Path) -> None:
    given = entry(tmp_path / "model", **{"mlplat.learned_until": "2013-03-31T00:00:00+00:00"})
    run_id, version = registry.log(given, passed=True)
    assert version == "1"
    found = store.get_model_version_by_alias(NAME.id, registry.CHALLENGER)
    assert (str(found.version), found.run_id) == ("1", run_id)
    assert found.tags["mlplat.gate"] == "passed"
    run = store.get_run(run_id)
    assert run.data.tags["mlplat.status"] == "passed"
    assert (run.data.params["trees"], run.data.metrics["auc"]) == ("3", 0.75)
    report = Path(store.download_artifacts(run_id, "gate/report.json", str(tmp_path)))
    assert json.loads(report.read_text()) == given.report

    store.set_registered_model_alias(NAME.id, registry.CHAMPION, version)
    champion = registry.champion(NAME, tmp_path / "fetched")
    assert champion is not None
    assert (champion.digest, digest(champion.folder)) == (given.digest, given.digest)
    assert champion.learned_until == "2013-03-31T00:00:00+00:00"
    assert champion.folder.is_relative_to(tmp_path / "fetched")


def test_a_second_version_leaves_the_champion_alone(store: MlflowClient, tmp_path: Path) -> None:
    registry.log(entry(tmp_path / "one"), passed=True)
    store.set_registered_model_alias(NAME.id, registry.CHAMPION, "1")
    assert registry.log(entry(tmp_path / "two", "another"), passed=True)[1] == "2"
    aliases = dict(store.get_registered_model(NAME.id).aliases)
    assert {alias: str(version) for alias, version in aliases.items()} == {"champion": "1", "challenger": "2"}


def test_a_resumed_run_registers_its_bundle_once(
    store: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(registry.RUN, "k1")
    first = registry.log(entry(tmp_path / "model"), passed=True)
    assert registry.log(entry(tmp_path / "model"), passed=True) == first
    assert len(store.search_model_versions(f"name = '{NAME.id}'")) == 1
    assert registry.log(entry(tmp_path / "other", "trained again"), passed=True)[1] == "2"
    monkeypatch.setenv(registry.RUN, "k2")
    assert registry.log(entry(tmp_path / "model"), passed=True)[1] == "3"


def test_a_version_that_a_client_asked_for_twice_is_kept_once(store: MlflowClient, tmp_path: Path) -> None:
    create = MlflowClient.create_model_version

    def twice(self: MlflowClient, *argv: Any, **named: Any) -> Any:
        create(self, *argv, **named)
        return create(self, *argv, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", twice)
        assert registry.log(entry(tmp_path / "model"), passed=True)[1] == "1"
    assert [str(each.version) for each in store.search_model_versions(f"name = '{NAME.id}'")] == ["1"]


def test_a_refused_model_is_written_down_and_registered_nowhere(store: MlflowClient, tmp_path: Path) -> None:
    run_id, version = registry.log(entry(tmp_path / "model"), passed=False)
    assert version is None
    assert store.get_run(run_id).data.tags["mlplat.status"] == "refused"
    assert [item.path for item in store.list_artifacts(run_id)] == ["gate"]
    with pytest.raises(MlflowException):
        store.get_registered_model(NAME.id)


def test_a_champion_whose_files_were_changed_is_refused(store: MlflowClient, tmp_path: Path) -> None:
    run_id, version = registry.log(entry(tmp_path / "model"), passed=True)
    store.set_registered_model_alias(NAME.id, registry.CHAMPION, version or "")
    (kept,) = (tmp_path / "store").glob(f"*/{run_id}/artifacts/model/model.txt")
    kept.write_text("another model")
    with pytest.raises(RefusedError, match=r"version 1 of tests/late holds sha256:.*, and was registered as sha256:"):
        registry.champion(NAME, tmp_path / "fetched")


def test_a_registry_that_does_not_answer_is_no_registry_without_a_champion(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int
) -> None:
    monkeypatch.setenv(registry.TRACKING, f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UnreachableError, match="does not answer") as caught:
        registry.champion(NAME, tmp_path)
    assert "mlplat status" in str(caught.value.hint)


class _Closed(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_registry_that_lets_nobody_in_says_what_it_asks_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Closed) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv(registry.TRACKING, f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(RefusedError, match="does not let you in") as caught:
            registry.champion(NAME, tmp_path)
        server.shutdown()
        thread.join()
    assert "MLFLOW_TRACKING_TOKEN" in str(caught.value.hint)


def test_without_an_address_there_is_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.TRACKING, raising=False)
    assert not registry.is_connected()


def git(folder: Path, *argv: str) -> None:
    named = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *named, *argv], cwd=folder, check=True, capture_output=True)


def test_a_commit_says_whether_the_project_was_changed_since(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    assert registry.commit(project) == "unknown"
    git(project, "init", "-q")
    (project / "a").write_text("1")
    git(project, "add", "a")
    git(project, "commit", "-qm", "first")
    head = registry.commit(project)
    assert len(head) == 40
    (project / "a").write_text("2")
    assert registry.commit(project) == f"{head}+changes"


def test_a_lock_is_the_hash_of_the_requirements(tmp_path: Path) -> None:
    assert registry.lock(tmp_path) == "none"
    (tmp_path / "requirements.txt").write_text("")
    assert registry.lock(tmp_path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_settings_are_written_with_dots() -> None:
    nested: dict[str, Any] = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None, "f": {}}
    assert registry.flat(nested) == {"a.b.c": 1, "a.d": "[1, 2]", "e": None}
