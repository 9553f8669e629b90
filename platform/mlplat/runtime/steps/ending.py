"""The end of a run: written down, and the model registered when it passed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlplat.bundle import read_contract
from mlplat.contracts import REASON
from mlplat.labels import Name
from mlplat.runtime import bundles, learning, online, pages, registry, retelling
from mlplat.runtime.monitoring import profile
from mlplat.runtime.result import Result, Status
from mlplat.runtime.snapshots import keeping
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.store import Snapshots
from mlplat.runtime.steps.preparation import Options, Prepared
from mlplat.runtime.steps.training import Trained
from mlplat.spec.project import ProjectSpec

LINEAGE = {
    "mlplat.promoted_from": "promoted from",
    "mlplat.reason": "reason",
    "mlplat.commit": "commit",
    "mlplat.lock": "lock",
    "mlplat.data": "data",
    "mlplat.features": "feature service",
    "mlplat.learned_until": "labels known until",
    "mlplat.holdout": "hold-out",
    "mlplat.format": "served as",
    "mlplat.format_reason": "because",
}
"""What a card calls the tags of a version."""


@dataclass(frozen=True)
class Origin:
    """Where a model was trained that is judged here again."""

    tags: Mapping[str, str] = field(default_factory=dict)
    """Its version's, as far as they tell of how it was made, and `mlplat.promoted_from`."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What it was trained with, by dotted key."""
    folder: Path | None = None
    """Its own gate report, explanations and card."""
    kept: Path | None = None
    """What goes with it wherever it serves, such as the profile that drift is measured against; it may be missing."""


def finish(
    spec: ProjectSpec,
    options: Options,
    prepared: Prepared,
    trained: Trained,
    report: dict[str, Any],
    *,
    project: Path,
    origin: Origin | None = None,
) -> Result:
    """Write the run down and register the model when it passed; return what the run came to.

    A model of a sample is for trying the steps: it is judged and written down, and never registered.
    """
    if trained.learning:
        # What a search found is what the model was fitted with, whatever mlplat.yaml began from.
        spec = spec.model_copy(update={"training": trained.learning.settings})
    passed = bool(report["passed"])
    result = _result(spec, prepared, trained, report, passed=passed)
    if not registry.is_connected():
        _release(prepared)
        return result
    with tempfile.TemporaryDirectory(prefix="mlplat-register-") as folder:
        bundle = bundles.unpack(trained.packed, Path(folder, "model"))
        contract = read_contract(bundle)
        tags = _tags(spec, prepared, trained, project) | dict(origin.tags if origin else {})
        tags |= {"mlplat.features": contract.features} if contract.features else {}
        made = pages.of(
            spec,
            prepared,
            bundle,
            report,
            split=_told(prepared, tags) if origin else prepared.split.described(),
            settings=origin.settings if origin else registry.flat(spec.training.model_dump(mode="json")),
            fitted=_fitted(trained),
            lineage={title: tags[tag] for tag, title in LINEAGE.items() if tags.get(tag)},
            project=project,
        )
        measured = _beside(spec, prepared, bundle, Path(folder, "pages"), passed=passed, origin=origin)
        entry = registry.Entry(
            name=Name(spec.project, spec.model),
            folder=bundle,
            digest=trained.digest,
            params=registry.flat(spec.model_dump(mode="json")) | {"sample": options.sample or "all"},
            metrics=_measured(report) | measured,
            tags=tags,
            report=report,
            pages=lambda run: made.write(Path(folder, "pages"), {"run": run}),
            origin=origin.folder if origin else None,
        )
        # Before anybody can be told of a version that asks for them.
        anew = online.define(contract) if passed and options.sample is None else None
        if anew:  # it may have lost what older versions told, one of which serves
            retelling.retell(anew, spec, _say)
        run_id, version = registry.log(entry, passed=passed, register=options.sample is None)
    remark = online.remark(spec, contract)
    if trained.learning:
        learning.write(registry.client(), run_id, trained.learning, trained.seed_spread)
    _release(prepared)
    told = f"registered as version {version} of {result.model}{remark}" if version else result.message
    if passed and not version:
        told = f"passed the gate on a sample of {options.sample} rows, and so is not registered"
    status: Status = "registered" if version else result.status
    return replace(result, status=status, message=told, version=version, run_id=run_id)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a run's log is where somebody looks


def _release(prepared: Prepared) -> None:
    """Let the run's rows go where the project keeps none: nothing reads them any more."""
    if source := prepared.source:
        Snapshots(Place(source.place)).release(source.snapshot, source.spec.data.keep_snapshots)


def _result(spec: ProjectSpec, prepared: Prepared, trained: Trained, report: dict[str, Any], *, passed: bool) -> Result:
    failed = [rule for rule in report["rules"] if not rule["passed"]]
    message = "; ".join(f"{rule['name']}: {rule['detail']}" for rule in failed) or "passed the gate"
    return Result(
        status="passed" if passed else "refused",
        step="gate",
        message=message,
        model=f"{spec.project}/{spec.model}",
        digest=trained.digest,
        split=prepared.split.described(),
        metrics=report["metrics"],
        served=trained.served.described(),
        gate=report,
    )


def _beside(
    spec: ProjectSpec, prepared: Prepared, bundle: Path, folder: Path, *, passed: bool, origin: Origin | None
) -> dict[str, float]:
    """Write what is kept beside a model's pages; return what was measured of its data.

    Of a model from elsewhere nothing that was learned from is known here, and what goes with it came along.
    """
    if origin:
        if origin.kept and origin.kept.is_dir():
            shutil.copytree(origin.kept, folder)
        return {}
    if passed:
        profile.keep(spec, prepared, bundle, folder / profile.FOLDER)
    return keeping.write_down(prepared.snapshot, [str(name) for name in prepared.features.columns], folder)


def _fitted(trained: Trained) -> dict[str, Any]:
    """Return how a model came about, but for its settings, which have a place of their own."""
    told = trained.learning.described() if trained.learning else {}
    spread = {} if trained.seed_spread is None else {"seed_spread": trained.seed_spread}
    return {key: value for key, value in told.items() if key != "settings"} | spread


def _measured(report: dict[str, Any]) -> dict[str, float]:
    return {
        f"{name}{suffix}": values[key]
        for name, values in report["metrics"].items()
        for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))
    }


def _tags(spec: ProjectSpec, prepared: Prepared, trained: Trained, project: Path) -> dict[str, str]:
    until, reason = prepared.split.learned_until, os.environ.get(REASON)
    return {
        "mlplat.digest": trained.digest,
        "mlplat.project": spec.project,
        "mlplat.commit": registry.commit(project),
        "mlplat.lock": registry.lock(project),
        "mlplat.data": prepared.data_hash,
        "mlplat.holdout": prepared.holdout_hash,
        "mlplat.window": prepared.window_hash,
        "mlplat.format": trained.served.format,
        "mlplat.format_reason": trained.served.reason,
        **({"mlplat.learned_until": until} if until else {}),
        **({"mlplat.reason": reason} if reason else {}),
    }


def _told(prepared: Prepared, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return a split of which this run knows only the hold-out."""
    cuts = prepared.split.cuts
    days = f" from {cuts.holdout_start[:10]} to {cuts.holdout_end[:10]}" if cuts else ""
    how = f"trained elsewhere, promoted from {tags['mlplat.promoted_from']}; judged here on the rows{days}"
    return {"how": how, "rows": {"holdout": len(prepared.split.holdout)}}
