"""The model registry as the controller reads it: MLflow over REST, and bundles fetched by digest.

MLflow's own client is not needed here, and is not installed where the controller runs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import httpx

from mlplat import bundle
from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.labels import Name

SECONDS = 3.0
"""For one answer. The controller waits for nothing else meanwhile, and asks again later."""
FETCH_SECONDS = 60.0
"""For one piece of a bundle's file."""
SCHEME = "mlflow-artifacts:"
REPORT = "gate/report.json"
ABSENT = "RESOURCE_DOES_NOT_EXIST"


class NoSuchVersionError(RefusedError):
    """The registry does not hold that model, version or alias."""


@dataclass(frozen=True)
class Version:
    """A model version as it is registered."""

    model: Name
    number: str
    digest: str
    """Empty when it was registered without one."""
    source: str
    """Where its bundle is kept."""
    run: str


@dataclass(frozen=True)
class GateReport:
    """What the gate said of a bundle."""

    digest: str
    passed: bool
    failed_rules: tuple[str, ...]


class Registry(Protocol):
    """What the controller asks of a registry."""

    def version(self, model: Name, number: str) -> Version:
        """Return a version. Raises `NoSuchVersionError`, `UnreachableError`."""

    def gate_report(self, version: Version) -> GateReport | None:
        """Return the gate's report on a version, or None when there is none. Raises `UnreachableError`."""

    def fetch(self, source: str, digest: str) -> tuple[Path, str]:
        """Bring a bundle here, once; return its folder and digest.

        An empty `digest` takes what comes. Raises `RefusedError` when the files have another one, `UnreachableError`.
        """

    def alias(self, model: Name, alias: str) -> str | None:
        """Return the version an alias names, or None. Raises `UnreachableError`."""

    def set_alias(self, model: Name, alias: str, number: str | None) -> None:
        """Point an alias at a version, or remove it. Raises `NoSuchVersionError`, `UnreachableError`."""

    def prune(self, digests: set[str]) -> None:
        """Remove fetched bundles that have none of these digests."""


class MlflowRegistry:
    """A registry in an MLflow server that serves its artifacts itself."""

    def __init__(self, tracking: str, models: Path, http: httpx.Client) -> None:
        self._http = http
        self.tracking = tracking.rstrip("/")
        self.models = models
        """Folder of fetched bundles, one by digest."""

    def version(self, model: Name, number: str) -> Version:
        """See `Registry.version`."""
        found = self._call("GET", "model-versions/get", name=model.id, version=number)["model_version"]
        tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
        return Version(model, str(found["version"]), tags.get("mlplat.digest", ""), found["source"], found["run_id"])

    def latest(self, model: Name) -> str:
        """Return the newest version's number. Raises `NoSuchVersionError` when there is none."""
        query = {"filter": f"name='{model.id}'", "order_by": "version_number DESC", "max_results": "1"}
        found = self._call("GET", "model-versions/search", **query).get("model_versions", [])
        if not found:
            raise NoSuchVersionError(f"{model} has no versions", hint="`mlplat run train` registers one")
        return str(found[0]["version"])

    def gate_report(self, version: Version) -> GateReport | None:
        """See `Registry.gate_report`."""
        run = self._call("GET", "runs/get", run_id=version.run)["run"]
        try:
            path = f"{_artifact_path(run['info']['artifact_uri'])}/{REPORT}"
            report = json.loads(self._send("GET", self._artifact(path)).content)
        except NoSuchVersionError:
            return None
        except ValueError as error:
            raise RefusedError(f"{version.model} version {version.number}: its gate report is no JSON") from error
        failed = tuple(str(rule.get("name")) for rule in report.get("rules", []) if not rule.get("passed"))
        return GateReport(str(report.get("digest", "")), report.get("passed") is True, failed)

    def fetch(self, source: str, digest: str) -> tuple[Path, str]:
        """See `Registry.fetch`."""
        if digest and (kept := self._folder(digest)).is_dir():
            return kept, digest
        self.models.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".fetching-", dir=self.models))
        try:
            self._download(_artifact_path(source), temporary)
            found = bundle.digest(temporary)
            if digest and found != digest:
                raise RefusedError(
                    f"the files at {source} have the digest {found}, registered is {digest}",
                    hint="they were changed after the gate judged them: train again",
                )
            return self._keep(temporary, found), found
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def prune(self, digests: set[str]) -> None:
        """See `Registry.prune`."""
        kept = {self._folder(digest) for digest in digests}
        for folder in self.models.glob("*"):
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def alias(self, model: Name, alias: str) -> str | None:
        """See `Registry.alias`."""
        try:
            found = self._call("GET", "registered-models/get", name=model.id)["registered_model"]
        except NoSuchVersionError:
            return None
        # Asking for the alias itself answers with an error like any other where there is none.
        return next((str(item["version"]) for item in found.get("aliases", []) if item["alias"] == alias), None)

    def set_alias(self, model: Name, alias: str, number: str | None) -> None:
        """See `Registry.set_alias`."""
        if number is None:
            self._call("DELETE", "registered-models/alias", name=model.id, alias=alias)
        else:
            self._call("POST", "registered-models/alias", name=model.id, alias=alias, version=number)

    def _folder(self, digest: str) -> Path:
        return self.models / digest.removeprefix("sha256:")

    def _keep(self, temporary: Path, digest: str) -> Path:
        folder = self._folder(digest)
        if not folder.is_dir():
            temporary.chmod(0o755)
            temporary.rename(folder)
        return folder

    def _download(self, path: str, folder: Path) -> None:
        for name in self._files(path):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._stream(self._artifact(f"{path}/{name}")) as answer, target.open("wb") as file:
                for piece in answer.iter_bytes():
                    file.write(piece)

    def _files(self, path: str, below: str = "") -> Iterator[str]:
        url = f"{self.tracking}/api/2.0/mlflow-artifacts/artifacts"
        listed = self._send("GET", url, params={"path": f"{path}/{below}".rstrip("/")}).json().get("files", [])
        for item in listed:
            name = f"{below}/{_plain_name(item['path'])}".lstrip("/")
            if item.get("is_dir"):
                yield from self._files(path, name)
            else:
                yield name

    def _artifact(self, path: str) -> str:
        return f"{self.tracking}/api/2.0/mlflow-artifacts/artifacts/{path}"

    def _call(self, method: str, route: str, **fields: str) -> dict[str, Any]:
        url = f"{self.tracking}/api/2.0/mlflow/{route}"
        arguments: dict[str, Any] = {"params": fields} if method == "GET" else {"json": fields}
        answer: dict[str, Any] = self._send(method, url, **arguments).json()
        return answer

    def _send(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, url, timeout=SECONDS, **arguments)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise self._error(answer)
        return answer

    @contextlib.contextmanager
    def _stream(self, url: str) -> Iterator[httpx.Response]:
        try:
            with self._http.stream("GET", url, timeout=FETCH_SECONDS) as answer:
                if answer.is_error:
                    answer.read()
                    raise self._error(answer)
                yield answer
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _error(self, answer: httpx.Response) -> MlplatError:
        try:
            document = answer.json()
        except ValueError:
            document = {}
        said = document.get("message") or answer.reason_phrase
        if answer.status_code == httpx.codes.NOT_FOUND or document.get("error_code") == ABSENT:
            return NoSuchVersionError(f"the registry says: {said}", hint="`mlplat model list` shows what it holds")
        if answer.is_client_error:
            return RefusedError(f"the registry says: {said}")
        return UnreachableError(f"the registry at {self.tracking} answers with {answer.status_code}: {said}")

    def _unreachable(self, error: httpx.HTTPError) -> UnreachableError:
        return UnreachableError(
            f"the registry does not answer on {self.tracking}: {error}", hint="`mlplat status` shows whether it runs"
        )


def _artifact_path(address: str) -> str:
    """Return the path of `mlflow-artifacts:/1/<run>/artifacts/model` below the server's artifacts."""
    if not address.startswith(SCHEME):
        raise RefusedError(f"{address}: only artifacts that the tracking server hands out can be served")
    return httpx.URL(address).path.strip("/")


def _plain_name(listed: str) -> str:
    """Return the last part of a listed path, which must not lead out of the bundle's folder."""
    name = PurePosixPath(listed).name
    if name in ("", ".", "..") or "\\" in name:
        raise RefusedError(f"the registry lists a file named `{listed}`")
    return name
