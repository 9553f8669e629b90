"""The model registry as the controller reads it: versions, gate reports and aliases, and bundles fetched by digest."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import httpx
from pydantic import ValidationError

from mlplat import bundle
from mlplat.controller.triggers import Verdict
from mlplat.errors import RefusedError
from mlplat.files import writing
from mlplat.labels import Name
from mlplat.tracking import GATE_REPORT, AbsentError, Tracking, by_key


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
    learned_until: datetime | None = None
    """When the newest label that it has learned from had become known; None where its rows have no time."""


@dataclass(frozen=True)
class GateReport:
    """What the gate said of a bundle."""

    digest: str
    passed: bool
    failed_rules: tuple[str, ...]


class Registry(Protocol):
    """What the controller asks of a registry."""

    def version(self, model: Name, number: str) -> Version:
        """Return a version. Raises `AbsentError`, `UnreachableError`."""

    def gate_report(self, version: Version) -> GateReport | None:
        """Return the gate's report on a version, or None when there is none. Raises `UnreachableError`."""

    def fetch(self, source: str, digest: str) -> tuple[Path, str]:
        """Bring a bundle here, once, and again when it was damaged here; return its folder and digest.

        An empty `digest` takes what comes. Raises `RefusedError` when the files have another one, `UnreachableError`,
        and `StateError` when they cannot be written, of which nothing then stays.
        """

    def alias(self, model: Name, alias: str) -> str | None:
        """Return the version an alias names, or None. Raises `UnreachableError`."""

    def set_alias(self, model: Name, alias: str, number: str | None) -> None:
        """Point an alias at a version, or remove it. Raises `AbsentError`, `UnreachableError`."""

    def prune(self, digests: set[str]) -> None:
        """Remove fetched bundles that have none of these digests."""


class MlflowRegistry:
    """A registry in an MLflow server that serves its artifacts itself. It may be asked from several threads."""

    def __init__(self, tracking: str, models: Path, http: httpx.Client) -> None:
        self._server = Tracking(tracking, http)
        self.models = models
        """Folder of fetched bundles, one by digest."""

    def version(self, model: Name, number: str) -> Version:
        """See `Registry.version`."""
        found = self._server.get("model-versions/get", name=model.id, version=number)["model_version"]
        tags = by_key(found.get("tags", []))
        return Version(
            model, str(found["version"]), tags.get("mlplat.digest", ""), found["source"], found["run_id"], _time(tags)
        )

    def latest(self, model: Name) -> str:
        """Return the newest version's number. Raises `AbsentError` when there is none."""
        query = {"filter": f"name='{model.id}'", "order_by": "version_number DESC", "max_results": "1"}
        found = self._server.get("model-versions/search", **query).get("model_versions", [])
        if not found:
            raise AbsentError(f"{model} has no versions", hint="`mlplat run train` registers one")
        return str(found[0]["version"])

    def verdict(self, model: Name, endpoint: Name, version: str) -> Verdict | None:
        """See `retraining.Models.verdict`. Raises `RefusedError` for one that cannot be read."""
        wanted = (
            f"tags.`mlplat.kind` = 'monitor' and tags.`mlplat.endpoint` = '{endpoint}'"
            f" and tags.`mlplat.monitored_version` = '{version}'"
        )
        for run in self._server.runs(model.id, wanted):
            tags = by_key(run["data"].get("tags", []))
            if text := tags.get("mlplat.verdict"):
                try:
                    return Verdict.model_validate_json(text)
                except ValidationError as error:
                    raise RefusedError(
                        f"the verdict of {endpoint}'s monitor cannot be read: {error.errors()[0]}"
                    ) from error
        return None

    def registered_by(self, model: Name, key: str) -> str:
        """See `retraining.Models.registered_by`."""
        for run in self._server.runs(model.id, f"tags.`mlplat.run` = '{key}'"):
            query = {"filter": f"name='{model.id}' and run_id='{run['info']['run_id']}'", "max_results": "1"}
            if found := self._server.get("model-versions/search", **query).get("model_versions", []):
                return str(found[0]["version"])
        return ""

    def gate_report(self, version: Version) -> GateReport | None:
        """See `Registry.gate_report`."""
        try:
            report = json.loads(self._server.run_file(version.run, GATE_REPORT))
        except AbsentError:
            return None
        except ValueError as error:
            raise RefusedError(f"{version.model} version {version.number}: its gate report is no JSON") from error
        if not isinstance(report, dict):
            raise RefusedError(f"{version.model} version {version.number}: its gate report is no JSON object")
        failed = tuple(str(rule.get("name")) for rule in report.get("rules", []) if not rule.get("passed"))
        return GateReport(str(report.get("digest", "")), report.get("passed") is True, failed)

    def fetch(self, source: str, digest: str) -> tuple[Path, str]:
        """See `Registry.fetch`."""
        if digest and bundle.holds(kept := self._folder(digest), digest):
            return kept, digest
        with writing(self.models):
            self.models.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".fetching-", dir=self.models))
        try:
            self._server.download(source, temporary)
            found = bundle.digest(temporary)
            if digest and found != digest:
                raise RefusedError(
                    f"the files at {source} have the digest {found}, registered is {digest}",
                    hint="they were changed after the gate judged them: train again",
                )
            with writing(self.models):
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
            found = self._server.get("registered-models/get", name=model.id)["registered_model"]
        except AbsentError:
            return None
        # Asking for the alias itself answers with an error like any other where there is none.
        return next((str(item["version"]) for item in found.get("aliases", []) if item["alias"] == alias), None)

    def set_alias(self, model: Name, alias: str, number: str | None) -> None:
        """See `Registry.set_alias`."""
        if number is None:
            self._server.write("DELETE", "registered-models/alias", name=model.id, alias=alias)
        else:
            self._server.write("POST", "registered-models/alias", name=model.id, alias=alias, version=number)

    def _folder(self, digest: str) -> Path:
        return self.models / digest.removeprefix("sha256:")

    def _keep(self, temporary: Path, digest: str) -> Path:
        folder = self._folder(digest)
        temporary.chmod(0o755)
        if not bundle.holds(folder, digest):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.rename(folder)
        except OSError as error:
            # Somebody else brought the same files meanwhile: which ones stay makes no difference.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        return folder


def _time(tags: dict[str, str]) -> datetime | None:
    text = tags.get("mlplat.learned_until")
    return datetime.fromisoformat(text) if text else None
