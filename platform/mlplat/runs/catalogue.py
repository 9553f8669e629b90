"""The registered models of a platform, as its tracking server lists them over REST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from mlplat.errors import MlplatError, UnreachableError, UsageError
from mlplat.labels import Name

PAGE = 200  # versions in one answer of the registry
REPORT = "gate/report.json"


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
    metrics: dict[str, float] = field(default_factory=dict)


class Catalogue:
    """Reads the registry of one tracking server. Every method raises `UnreachableError` when it does not answer."""

    def __init__(self, tracking: str) -> None:
        self._tracking = tracking.rstrip("/")
        # Loopback addresses never go through a proxy.
        self._http = httpx.Client(base_url=self._tracking, timeout=10, trust_env=False)

    def versions(self, model: Name | None = None) -> list[Version]:
        """Return the versions of one model, or of all that mlplat registered; newest first within a model."""
        wanted = {"filter": f"name='{model.id}'"} if model else {}
        aliases = self._aliases(wanted)
        found = self._pages("model-versions/search", "model_versions", wanted)
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
        answer = self._send("/get-artifact", {"run_uuid": version.run, "path": REPORT}, missing=True)
        try:
            report = answer.json() if answer else None
        except ValueError as error:
            raise MlplatError(f"the gate report of {version.model} version {version.version} is no JSON") from error
        return report if isinstance(report, dict) else None

    def _aliases(self, wanted: dict[str, str]) -> dict[str, list[dict[str, str]]]:
        found = self._pages("registered-models/search", "registered_models", wanted)
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
            metrics=self._metrics(found.get("run_id", "")),
        )

    def _metrics(self, run: str) -> dict[str, float]:
        answer = self._send("/api/2.0/mlflow/runs/get", {"run_id": run}, missing=True) if run else None
        logged = answer.json()["run"]["data"].get("metrics", []) if answer else []
        return {metric["key"]: metric["value"] for metric in sorted(logged, key=lambda metric: metric["key"])}

    def _pages(self, route: str, key: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
        token: str | None = ""
        while token is not None:
            page = {**query, "max_results": str(PAGE), **({"page_token": token} if token else {})}
            answer = self._send(f"/api/2.0/mlflow/{route}", page)
            document: dict[str, Any] = answer.json() if answer else {}
            yield from document.get(key, [])
            token = document.get("next_page_token") or None

    def _send(self, path: str, query: dict[str, str], *, missing: bool = False) -> httpx.Response | None:
        try:
            answer = self._http.get(path, params=query)
            if missing and answer.status_code == httpx.codes.NOT_FOUND:
                return None
            return answer.raise_for_status()
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"the registry at {self._tracking} does not answer: {error}",
                hint="`mlplat up` starts it, `mlplat status` shows what runs",
            ) from error
