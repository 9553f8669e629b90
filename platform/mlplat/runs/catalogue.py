"""The registered models of a platform, as its tracking server lists them over REST."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from mlplat.errors import MlplatError, UsageError
from mlplat.labels import Name
from mlplat.tracking import AbsentError, Tracking

REPORT = "gate/report.json"
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
        try:
            report = json.loads(self._server.run_file(version.run, REPORT)) if version.run else None
        except AbsentError:
            return None
        except ValueError as error:
            raise MlplatError(f"the gate report of {version.model} version {version.version} is no JSON") from error
        return report if isinstance(report, dict) else None

    def _aliases(self, wanted: dict[str, str]) -> dict[str, list[dict[str, str]]]:
        found = self._server.search("registered-models/search", "registered_models", **wanted)
        return {each["name"]: each.get("aliases", []) for each in found}

    def _version(self, found: dict[str, Any], aliases: list[dict[str, str]]) -> Version:
        tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
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
            metrics=self._metrics(found.get("run_id", "")),
        )

    def _metrics(self, run: str) -> dict[str, float]:
        try:
            logged = self._server.get("runs/get", run_id=run)["run"]["data"].get("metrics", []) if run else []
        except AbsentError:
            logged = []
        return {metric["key"]: metric["value"] for metric in sorted(logged, key=lambda metric: metric["key"])}
