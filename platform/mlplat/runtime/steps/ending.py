"""The end of a run: written down, and the model registered when it passed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlplat.labels import Name
from mlplat.runtime import bundles, registry
from mlplat.runtime.result import Result, Status
from mlplat.runtime.steps.preparation import Options, Prepared
from mlplat.runtime.steps.training import Trained
from mlplat.spec.project import ProjectSpec


def finish(
    spec: ProjectSpec, options: Options, prepared: Prepared, trained: Trained, report: dict[str, Any], *, project: Path
) -> Result:
    """Write the run down and register the model when it passed; return what the run came to.

    A model of a sample is for trying the steps: it is judged and written down, and never registered.
    """
    passed = bool(report["passed"])
    result = _result(spec, prepared, trained, report, passed=passed)
    if not registry.is_connected():
        return result
    with tempfile.TemporaryDirectory(prefix="mlplat-register-") as folder:
        bundle = bundles.unpack(trained.packed, Path(folder))
        entry = _entry(spec, options, prepared, trained, report, project, bundle)
        run_id, version = registry.log(entry, passed=passed, register=options.sample is None)
    told = f"registered as version {version} of {result.model}" if version else result.message
    if passed and not version:
        told = f"passed the gate on a sample of {options.sample} rows, and so is not registered"
    status: Status = "registered" if version else result.status
    return replace(result, status=status, message=told, version=version, run_id=run_id)


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


def _entry(
    spec: ProjectSpec,
    options: Options,
    prepared: Prepared,
    trained: Trained,
    report: dict[str, Any],
    project: Path,
    folder: Path,
) -> registry.Entry:
    until = prepared.split.learned_until
    learned = {"mlplat.learned_until": until} if until else {}
    measured = {
        f"{name}{suffix}": values[key]
        for name, values in report["metrics"].items()
        for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))
    }
    return registry.Entry(
        name=Name(spec.project, spec.model),
        folder=folder,
        digest=trained.digest,
        params=registry.flat(spec.model_dump(mode="json")) | {"sample": options.sample or "all"},
        metrics=measured,
        tags={
            "mlplat.digest": trained.digest,
            "mlplat.project": spec.project,
            "mlplat.commit": registry.commit(project),
            "mlplat.lock": registry.lock(project),
            "mlplat.data": prepared.data_hash,
            "mlplat.holdout": prepared.holdout_hash,
            "mlplat.window": prepared.window_hash,
            "mlplat.format": trained.served.format,
            "mlplat.format_reason": trained.served.reason,
            **learned,
        },
        report=report,
    )
