"""The registered models of a platform, as its tracking server lists them over REST."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from mlplat.bundle import digest as digest_of
from mlplat.errors import MlplatError, RefusedError, UsageError
from mlplat.labels import Name
from mlplat.tracking import GATE_REPORT, AbsentError, Tracking, by_key

SECONDS = 10.0
"""For one answer: a person waits."""


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    model: str
    """`project/model`."""
    version: str
    aliases: list[str]
    created: str
    """UTC, ISO 8601."""
    digest: str | None
    gate: str | None
    """What the gate said when it was registered: `passed`, or nothing."""
    commit: str | None
    run: str
    format: str | None = None
    """In which format it is served: `onnx` or `skops`."""
    format_reason: str | None = None
    source: str = ""
    """Where its bundle is kept."""
    tags: dict[str, str] = field(default_factory=dict)
    """All that was written down of it, by name."""
    metrics: dict[str, float] = field(default_factory=dict)


class Catalogue:
    """Reads the registry of one tracking server. Every method raises `UnreachableError` when it does not answer."""

    def __init__(self, tracking: str) -> None:
        # Loopback addresses never go through a proxy.
        self._server = Tracking(tracking, httpx.Client(trust_env=False), seconds=SECONDS)

    def versions(self, model: Name | None = None) -> list[Version]:
        """Return the versions of one model, or of all that mlplat registered; newest first within a model."""
        wanted = {"filter": f"name='{model.id}'"} if model else {}
        aliases = self._aliases(wanted)
        found = self._server.search("model-versions/search", "model_versions", **wanted)
        made = [self._version(each, aliases.get(each["name"], [])) for each in found if "." in each["name"]]
        return sorted(made, key=lambda each: (each.model, -int(each.version)))

    def find(self, model: Name, wanted: str | None) -> Version:
        """Return a version by number or alias, or the newest one. Raises `UsageError` when there is none."""
        for each in self.versions(model):
            if wanted is None or wanted == each.version or wanted in each.aliases:
                return each
        which = f"no version or alias `{wanted}`" if wanted else "no versions"
        raise UsageError(f"{model} has {which}", hint="`mlplat model list` shows what is registered")

    def report(self, version: Version) -> dict[str, Any] | None:
        """Return a version's gate report; None when its run holds none."""
        content = self.page(version, GATE_REPORT)
        try:
            report = json.loads(content) if content else None
        except ValueError as error:
            raise MlplatError(f"the gate report of {version.model} version {version.version} is no JSON") from error
        return report if isinstance(report, dict) else None

    def page(self, version: Version, path: str) -> bytes | None:
        """Return a file that a version's run has left, such as `card/card.md`; None when there is none."""
        try:
            return self._server.run_file(version.run, path) if version.run else None
        except AbsentError:
            return None

    def fetch(self, version: Version, folder: Path) -> Path:
        """Bring a version's bundle into a new folder, and return it.

        Raises `RefusedError` when the files are not those that were registered.
        """
        self._server.download(version.source, folder)
        found = digest_of(folder)
        if found != version.digest:
            raise RefusedError(
                f"{version.model} version {version.version} holds {found}, and was registered as "
                f"{version.digest or 'nothing'}",
                hint="somebody changed its artifacts after the gate judged them: train again",
            )
        return folder

    def settings(self, version: Version) -> dict[str, str]:
        """Return what a version's run was given, by dotted key of mlplat.yaml."""
        return by_key(self._server.get("runs/get", run_id=version.run)["run"]["data"].get("params", []))

    def _aliases(self, wanted: dict[str, str]) -> dict[str, list[dict[str, str]]]:
        found = self._server.search("registered-models/search", "registered_models", **wanted)
        return {each["name"]: each.get("aliases", []) for each in found}

    def _version(self, found: dict[str, Any], aliases: list[dict[str, str]]) -> Version:
        tags = by_key(found.get("tags", []))
        return Version(
            model=str(Name.from_id(found["name"])),
            version=str(found["version"]),
            aliases=sorted(each["alias"] for each in aliases if str(each["version"]) == str(found["version"])),
            created=datetime.fromtimestamp(int(found["creation_timestamp"]) / 1000, UTC).isoformat(timespec="seconds"),
            digest=tags.get("mlplat.digest"),
            gate=tags.get("mlplat.gate"),
            commit=tags.get("mlplat.commit"),
            run=found.get("run_id", ""),
            format=tags.get("mlplat.format"),
            format_reason=tags.get("mlplat.format_reason"),
            source=found.get("source", ""),
            tags=tags,
            metrics=self._metrics(found.get("run_id", "")),
        )

    def _metrics(self, run: str) -> dict[str, float]:
        try:
            logged = self._server.get("runs/get", run_id=run)["run"]["data"].get("metrics", []) if run else []
        except AbsentError:
            logged = []
        return by_key(sorted(logged, key=lambda metric: metric["key"]))
