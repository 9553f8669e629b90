"""The registry's reader against answers as MLflow 3.17 gives them; the real one answers in the end-to-end tests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlplat import bundle
from mlplat.controller.registry import GateReport, MlflowRegistry, Version
from mlplat.controller.triggers import Alarm
from mlplat.errors import RefusedError, StateError, UnreachableError
from mlplat.labels import Name
from mlplat.tracking import AbsentError

LATE = Name("flights", "late")
SOURCE = "mlflow-artifacts:/1/abc/artifacts/model"


class Mlflow:
    """A server with one model version, whose bundle and gate report it hands out."""

    def __init__(self) -> None:
        self.files = {"MLmodel": b"flavors: {}\n", "nested/model.skops": b"\x00weights", "mlplat.json": b"{}"}
        self.report: Any = {"digest": "sha256:1", "passed": True, "rules": []}
        self.aliases = [{"alias": "champion", "version": "1"}]
        self.requests: list[tuple[str, Any]] = []
        self.listed: list[dict[str, Any]] | None = None
        self.runs: list[dict[str, str]] = []
        """Tags of the runs that a search finds."""
        self.learned: str | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, query = request.url.path, request.url.params
        if path.startswith("/api/2.0/mlflow-artifacts/artifacts"):
            return self._artifact(path.removeprefix("/api/2.0/mlflow-artifacts/artifacts").strip("/"), query)
        route = path.removeprefix("/api/2.0/mlflow/")
        if request.method != "GET":
            self.requests.append((f"{request.method} {route}", json.loads(request.content)))
            found = [
                {"info": {"run_id": "abc"}, "data": {"tags": [{"key": k, "value": v} for k, v in tags.items()]}}
                for tags in self.runs
            ]
            return httpx.Response(200, json={"runs": found} if route == "runs/search" else {})
        if query.get("name", "flights.late") != "flights.late" or query.get("version", "1") != "1":
            return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not found"})
        tags = [{"key": "mlplat.digest", "value": "sha256:1"}]
        tags += [{"key": "mlplat.learned_until", "value": self.learned}] if self.learned else []
        version = {"version": "1", "source": SOURCE, "run_id": "abc", "tags": tags}
        answers = {
            "model-versions/get": {"model_version": version},
            "model-versions/search": {"model_versions": [version]},
            "registered-models/get": {"registered_model": {"aliases": self.aliases}},
            "experiments/get-by-name": {"experiment": {"experiment_id": "4"}},
            "runs/get": {"run": {"info": {"artifact_uri": "mlflow-artifacts:/1/abc/artifacts"}}},
        }
        return httpx.Response(200, json=answers[route])

    def _artifact(self, path: str, query: httpx.QueryParams) -> httpx.Response:
        if path == "1/abc/artifacts/gate/report.json" and self.report is not None:
            return httpx.Response(
                200, content=self.report if isinstance(self.report, bytes) else json.dumps(self.report)
            )
        name = path.removeprefix("1/abc/artifacts/model/")
        if path and name in self.files:
            return httpx.Response(200, content=self.files[name])
        if path:
            return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such artifact"})
        below = query["path"].removeprefix("1/abc/artifacts/model").strip("/")
        names = {file.removeprefix(f"{below}/" if below else "") for file in self.files if file.startswith(below)}
        listed = [{"path": name.partition("/")[0], "is_dir": "/" in name} for name in sorted(names)]
        return httpx.Response(200, json={"files": self.listed or listed})


@pytest.fixture
def mlflow() -> Mlflow:
    return Mlflow()


@pytest.fixture
def registry(mlflow: Mlflow, tmp_path: Path) -> Iterator[MlflowRegistry]:
    with httpx.Client(transport=httpx.MockTransport(mlflow)) as http:
        yield MlflowRegistry("http://tracking/", tmp_path / "models", http)


@pytest.fixture
def digest(mlflow: Mlflow, tmp_path: Path) -> str:
    for name, content in mlflow.files.items():
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / name).write_bytes(content)
    return bundle.digest(tmp_path / "made")


def test_a_version_is_read_with_its_digest(registry: MlflowRegistry) -> None:
    assert registry.version(LATE, "1") == Version(LATE, "1", "sha256:1", SOURCE, "abc")


def test_a_version_says_until_when_it_has_learned(registry: MlflowRegistry, mlflow: Mlflow) -> None:
    mlflow.learned = "2013-06-30T04:00:00+00:00"
    assert registry.version(LATE, "1").learned_until == datetime(2013, 6, 30, 4, tzinfo=UTC)


def test_the_newest_verdict_of_an_endpoint_s_monitor_is_read(registry: MlflowRegistry, mlflow: Mlflow) -> None:
    assert registry.verdict(LATE, LATE, "3") is None
    said = {"version": 1, "endpoint": "flights/late", "model_version": "3", "time": "2013-07-01T00:00:00Z"}
    mlflow.runs = [{"mlplat.verdict": json.dumps({**said, "alarms": [{"kind": "drift", "message": "temp"}]})}]
    verdict = registry.verdict(LATE, LATE, "3")
    assert verdict is not None
    assert (verdict.model_version, verdict.alarms) == ("3", (Alarm(kind="drift", message="temp"),))
    asked = mlflow.requests[-1][1]
    assert asked["experiment_ids"] == ["4"]
    assert "tags.`mlplat.endpoint` = 'flights/late'" in asked["filter"]
    mlflow.runs = [{"mlplat.verdict": "{}"}]
    with pytest.raises(RefusedError, match="verdict of flights/late's monitor cannot be read"):
        registry.verdict(LATE, LATE, "3")


def test_what_a_run_has_registered_is_found_by_its_key(registry: MlflowRegistry, mlflow: Mlflow) -> None:
    assert registry.registered_by(LATE, "k1") == ""
    mlflow.runs = [{"mlplat.run": "k1"}]
    assert registry.registered_by(LATE, "k1") == "1"


def test_a_version_that_is_not_there_is_said(registry: MlflowRegistry) -> None:
    with pytest.raises(AbsentError):
        registry.version(LATE, "7")


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (None, None),
        ({"digest": "sha256:1", "passed": True, "rules": []}, GateReport("sha256:1", True, ())),
        (
            {"digest": "sha256:1", "passed": False, "rules": [{"name": "auc", "passed": False}]},
            GateReport("sha256:1", False, ("auc",)),
        ),
        ({"digest": "sha256:1", "passed": "yes"}, GateReport("sha256:1", False, ())),
    ],
)
def test_only_a_report_that_says_passed_is_one(
    registry: MlflowRegistry, mlflow: Mlflow, report: Any, expected: GateReport | None
) -> None:
    mlflow.report = report
    assert registry.gate_report(registry.version(LATE, "1")) == expected


def test_a_report_that_is_no_json_is_refused(registry: MlflowRegistry, mlflow: Mlflow) -> None:
    mlflow.report = b"not json"
    with pytest.raises(RefusedError, match="is no JSON"):
        registry.gate_report(registry.version(LATE, "1"))


def test_a_bundle_is_fetched_whole_and_once(registry: MlflowRegistry, mlflow: Mlflow, digest: str) -> None:
    folder, found = registry.fetch(SOURCE, digest)
    assert (found, bundle.digest(folder)) == (digest, digest)
    mlflow.files.clear()
    assert registry.fetch(SOURCE, digest) == (folder, digest)


@pytest.mark.parametrize("harm", ["changed", "gone", "more", "a link"])
def test_a_bundle_that_was_damaged_here_is_fetched_again(registry: MlflowRegistry, digest: str, harm: str) -> None:
    folder, _ = registry.fetch(SOURCE, digest)
    path = folder / "mlplat.json"
    match harm:
        case "changed":
            path.write_bytes(b"\xf5\0")
        case "gone":
            path.unlink()
        case "more":
            (folder / "more").write_text("")
        case _:
            path.unlink()
            path.symlink_to("/etc/hostname")
    assert registry.fetch(SOURCE, digest) == (folder, digest)
    assert bundle.digest(folder) == digest
    assert [each.name for each in registry.models.iterdir()] == [folder.name]


def test_files_with_another_digest_are_refused_and_not_kept(
    registry: MlflowRegistry, mlflow: Mlflow, digest: str, tmp_path: Path
) -> None:
    mlflow.files["mlplat.json"] = b'{"changed": true}'
    with pytest.raises(RefusedError, match="have the digest"):
        registry.fetch(SOURCE, digest)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with room for 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can make a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_nothing_half_written_and_names_the_file(mlflow: Mlflow, small_disk: Path) -> None:
    mlflow.files["nested/model.skops"] = bytes(100_000)
    with httpx.Client(transport=httpx.MockTransport(mlflow)) as http:
        registry = MlflowRegistry("http://tracking/", small_disk, http)
        with pytest.raises(StateError, match="No space left on device") as caught:
            registry.fetch(SOURCE, "")
        assert str(small_disk) in caught.value.message
        assert "free some space" in (caught.value.hint or "")
        assert list(small_disk.iterdir()) == []
        mlflow.files["nested/model.skops"] = b"smaller"
        folder, _ = registry.fetch(SOURCE, "")
    assert (folder / "nested/model.skops").read_bytes() == b"smaller"


def test_two_that_fetch_the_same_bundle_at_once_do_not_disturb_each_other(
    registry: MlflowRegistry, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, other = Path.rename, MlflowRegistry("http://tracking/", registry.models, registry._server._http)

    def later(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        other.fetch(SOURCE, digest)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", later)
    folder, _ = registry.fetch(SOURCE, digest)
    assert bundle.digest(folder) == digest
    assert [path.name for path in registry.models.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", ["..", "a/..", "..\\up"])
def test_a_listing_cannot_lead_out_of_the_folder(registry: MlflowRegistry, mlflow: Mlflow, name: str) -> None:
    mlflow.listed = [{"path": name, "is_dir": False}]
    with pytest.raises(RefusedError, match="lists a file named"):
        registry.fetch(SOURCE, "")


def test_artifacts_elsewhere_are_refused(registry: MlflowRegistry) -> None:
    with pytest.raises(RefusedError, match="only artifacts that the tracking server hands out"):
        registry.fetch("s3://bucket/model", "")


def test_bundles_nobody_names_are_removed(registry: MlflowRegistry, digest: str) -> None:
    folder, _ = registry.fetch(SOURCE, digest)
    registry.prune({digest})
    assert folder.is_dir()
    registry.prune(set())
    assert not folder.exists()


def test_aliases_are_read_set_and_removed(registry: MlflowRegistry, mlflow: Mlflow) -> None:
    assert registry.alias(LATE, "champion") == "1"
    assert registry.alias(LATE, "challenger") is None
    assert registry.alias(Name("flights", "unknown"), "champion") is None
    registry.set_alias(LATE, "challenger", "2")
    registry.set_alias(LATE, "challenger", None)
    fields = {"name": "flights.late", "alias": "challenger"}
    assert mlflow.requests == [
        ("POST registered-models/alias", {**fields, "version": "2"}),
        ("DELETE registered-models/alias", fields),
    ]


def test_an_unreachable_registry_is_named(tmp_path: Path, free_port: int) -> None:
    with httpx.Client(trust_env=False) as http, pytest.raises(UnreachableError, match=str(free_port)):
        MlflowRegistry(f"http://127.0.0.1:{free_port}", tmp_path, http).version(LATE, "1")


def test_a_failing_registry_is_asked_again_and_not_believed(tmp_path: Path) -> None:
    broken = httpx.MockTransport(lambda _: httpx.Response(500, text="oops"))
    with httpx.Client(transport=broken) as http, pytest.raises(UnreachableError, match="answers with 500"):
        MlflowRegistry("http://tracking", tmp_path, http).version(LATE, "1")
