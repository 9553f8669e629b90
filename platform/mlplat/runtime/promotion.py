"""`python -m mlplat.runtime.promotion`: a bundle from another platform, judged again by the project that is here.

The project's own `pipeline` prepares the rows and judges; only training is left out. What is registered are the bytes
that came, under the digest that they had there.
"""

from __future__ import annotations

import argparse
import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlplat.bundle import Contract, digest, read_contract
from mlplat.errors import RefusedError
from mlplat.runtime import bundles
from mlplat.runtime.onnx_export import Choice
from mlplat.runtime.result import Result, reported
from mlplat.runtime.split import Split
from mlplat.runtime.steps import ending
from mlplat.runtime.steps.ending import Origin
from mlplat.runtime.steps.preparation import Prepared
from mlplat.runtime.steps.training import Trained
from mlplat.spec.project import ProjectSpec

BUNDLE, ORIGIN, KEPT, TOLD = "bundle", "origin", "kept", "origin.json"
"""What a promoted version's folder holds: its bundle, the pages of its own run, what goes with it wherever it serves,
and its tags and settings."""


@dataclass(frozen=True)
class Arrived:
    """A version as it came."""

    contract: Contract
    digest: str
    origin: Origin
    packed: bytes

    @classmethod
    def read(cls, folder: Path) -> Arrived:
        """Read a promoted version's folder. Raises `RefusedError` when its bundle is not what was registered there."""
        told = json.loads((folder / TOLD).read_bytes())
        found, wanted = digest(folder / BUNDLE), told["digest"]
        if found != wanted:
            raise RefusedError(f"the bundle that came holds {found}, and {wanted} was asked for")
        origin = Origin(told["tags"], told["settings"], folder / ORIGIN, folder / KEPT)
        return cls(read_contract(folder / BUNDLE), found, origin, bundles.pack(folder / BUNDLE))

    def trained(self) -> Trained:
        """Return it as what training would have handed over."""
        tags = self.origin.tags
        served = Choice(self.contract.format, tags.get("mlplat.format_reason", ""))
        return Trained(self.packed, self.digest, self.contract.threshold, served)


def main() -> int:
    """Judge a promoted version and register it when it passes; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlplat.runtime.promotion", description=__doc__)
    parser.add_argument("package", help="the project's package")
    parser.add_argument("folder", type=Path, help="the promoted version")
    parser.add_argument("--until", default="", help="the clock: rows and labels known by then")
    given = parser.parse_args()
    arrived = Arrived.read(given.folder)
    with reported("promote", f"{arrived.contract.project}/{arrived.contract.model}"):
        result = promote(importlib.import_module(f"{given.package}.pipeline"), arrived, until=given.until)
    result.write()
    return 0 if result.status == "registered" else 1


def promote(pipeline: Any, arrived: Arrived, *, until: str) -> Result:
    """Judge a version on a project's hold-out against its champion, and register it when it passes.

    Raises `RefusedError` for one that does not fit the project, or has learned from the hold-out.
    """
    asked = pipeline.options({"until": until})
    spec: ProjectSpec = pipeline.specification(asked)
    prepared: Prepared = pipeline.prepare(asked)
    refuse_other(spec, prepared, arrived.contract)
    refuse_known(prepared.split, arrived.origin.tags.get("mlplat.learned_until"))
    trained = arrived.trained()
    report = pipeline.judge(asked, prepared, trained)
    return ending.finish(spec, asked, prepared, trained, report, project=pipeline.PROJECT, origin=arrived.origin)


def refuse_other(spec: ProjectSpec, prepared: Prepared, contract: Contract) -> None:
    """Raise `RefusedError` for a model that answers another question, or asks for columns that are not built here."""
    told = (contract.project, contract.model, contract.task, contract.classes)
    wanted = (spec.project, spec.model, spec.task, prepared.classes)
    for what, there, here in zip(("project", "model", "task", "classes"), told, wanted, strict=True):
        if there != here:
            raise RefusedError(f"the {what} of the promoted version is `{there}`, and this project's is `{here}`")
    built = {column.name: column.type for column in bundles.columns_of(prepared.features)}
    if missing := [column.name for column in contract.columns if column.name not in built]:
        raise RefusedError(
            f"the promoted version takes `{missing[0]}`, which this project does not build",
            hint="check out the commit that it was trained from: `mlplat model show` names it",
        )


def refuse_known(made: Split, learned_until: str | None) -> None:
    """Raise `RefusedError` when a version has learned what was not known yet when the hold-out here begins."""
    if made.judged_from is None or learned_until is None:
        return
    if pd.Timestamp(learned_until) >= pd.Timestamp(made.judged_from):
        raise RefusedError(
            f"the promoted version learned what was known by {learned_until}, and the hold-out's first prediction is "
            f"asked for on {made.judged_from}: it would be judged on what it knows",
            hint="give a later `--until`, when more labels are ripe",
        )


if __name__ == "__main__":
    raise SystemExit(main())
