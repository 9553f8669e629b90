"""A version from one stack's registry into another's: the same bytes, judged again there by the project itself."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mlplat.contracts import Connection
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.runs import flow, process
from mlplat.runs.catalogue import Catalogue, Version
from mlplat.runs.store import Run, Runs, ended
from mlplat.tracking import GATE_REPORT

PAGES = (GATE_REPORT, "explanations.json", "card/card.md", "card/card.html")
"""What comes along of a version's own run."""
KEPT = ("monitoring/profile.json", "monitoring/profile.npz", "data/snapshot.json", "data/quality.json")
"""What belongs to a version wherever it serves: what drift is measured against, and which rows it has learned from."""
LEFT = frozenset(f"mlplat.{name}" for name in ("digest", "gate", "run", "holdout", "window", "promoted_from"))
"""Tags that the other registry writes itself: they are about who judged, and on what."""


@dataclass(frozen=True)
class Promotion:
    """One version on its way."""

    version: Version
    source: Connection
    target: Connection
    """Both by the addresses that reach them from here."""

    def carry_out(self, project: Path, package: str, python: Path, *, until: str | None) -> Run:
        """Fetch the version, have the project judge and register it; return the run with what became of it."""
        arguments = ["--until", until] if until else []
        run = Runs(project).begin("promote", arguments, platform=self.target.platform, stack=self.target.stack)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mlplat-promote-") as folder:
            self._fetch(Path(folder))
            code = process.execute(
                run,
                [str(python), "-m", "mlplat.runtime.promotion", package, folder, *arguments],
                folder=project,
                variables=flow.variables(self.target, python, result=run.result_file, key=run.record.key),
                line=lambda _: None,  # the run's log has it all
            )
        return run.save(status=ended(run, code), exit_code=code, seconds=round(time.monotonic() - began, 1))

    def _fetch(self, folder: Path) -> None:
        registry = Catalogue(self.source.tracking)
        registry.fetch(self.version, folder / "bundle")
        for path in [*(Path("origin", page) for page in PAGES), *(Path("kept", page) for page in KEPT)]:
            if content := registry.page(self.version, Path(*path.parts[1:]).as_posix()):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        before = self.version.tags.get("mlplat.promoted_from")
        through = f"{self.source.platform}/{self.source.stack} version {self.version.version}"
        tags = {name: value for name, value in self.version.tags.items() if name.startswith("mlplat.")}
        told = {
            "digest": self.version.digest,
            "tags": {name: value for name, value in tags.items() if name not in LEFT}
            | {"mlplat.promoted_from": f"{through}, before that {before}" if before else through},
            "settings": {
                name.removeprefix("training."): value
                for name, value in registry.settings(self.version).items()
                if name.startswith("training.")
            },
        }
        (folder / "origin.json").write_text(json.dumps(told), encoding="utf-8")


def refuse_unjudged(registry: Catalogue, version: Version) -> None:
    """Raise `RefusedError` for a version that no gate has passed with exactly its digest."""
    report = registry.report(version) or {}
    if version.digest and report.get("passed") is True and report.get("digest") == version.digest:
        return
    raise RefusedError(
        f"{version.model} version {version.version} has no passed gate report for its digest",
        hint="`mlplat model show` shows what there is; `mlplat run train` registers a version that passes",
    )


def already(registry: Catalogue, version: Version) -> Version | None:
    """Return the newest version of a registry that is the same bundle, and passed there; None before there is one."""
    found = registry.versions(Name.parse(version.model))
    return next((each for each in found if each.digest == version.digest and each.gate == "passed"), None)
