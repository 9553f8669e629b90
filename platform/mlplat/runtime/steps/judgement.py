"""Judging a model on the hold-out, beside the champion, by the code that will serve both."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.runtime import bundles, gate, registry
from mlplat.runtime.split import Split
from mlplat.runtime.steps.preparation import Prepared
from mlplat.runtime.steps.training import Trained
from mlplat.spec.project import ProjectSpec

REPORT_VERSION = 1


def judge(spec: ProjectSpec, prepared: Prepared, trained: Trained) -> dict[str, Any]:
    """Judge the bundle, loaded as a server loads it, against the champion on the same rows; return the report.

    Raises `RefusedError` when the champion has learned from the hold-out.
    """
    from mlplat.serving.model import load

    name = Name(spec.project, spec.model)
    rows, labels = prepared.features.iloc[prepared.split.holdout], prepared.labels[prepared.split.holdout]
    holdout = gate.Holdout(labels, _blocks(prepared), float(prepared.labels[prepared.split.train].mean()))
    with tempfile.TemporaryDirectory(prefix="mlplat-judge-") as folder:
        champion = registry.champion(name, Path(folder, "champion")) if registry.is_connected() else None
        if champion:
            refuse_seen(prepared.split, champion)
        scores = load(bundles.unpack(trained.packed, Path(folder, "challenger")), digest=trained.digest).score(rows)
        theirs = load(champion.folder, digest=champion.digest).score(rows) if champion else None
    verdict = gate.judge(spec, holdout, scores, theirs).with_rule(gate.format_rule(spec, trained.served))
    uses = registry.uses_of(name, prepared.window_hash) if registry.is_connected() else 0
    return {
        "version": REPORT_VERSION,
        "digest": trained.digest,
        "model": str(name),
        **verdict.described(),
        "served": trained.served.described(),
        "champion": {"version": champion.version, "digest": champion.digest} if champion else None,
        "holdout": {**_window(prepared), "rows": len(rows), "hash": prepared.holdout_hash, "uses": uses + 1},
    }


def refuse_seen(made: Split, champion: registry.Champion) -> None:
    """Raise `RefusedError` when the champion has learned what was not known yet when the hold-out begins."""
    if made.judged_from is None or champion.learned_until is None:
        return
    if pd.Timestamp(champion.learned_until) >= pd.Timestamp(made.judged_from):
        raise RefusedError(
            f"champion {champion.version} learned what was known by {champion.learned_until}, and the hold-out's first "
            f"prediction is asked for on {made.judged_from}: it would be judged on what it knows",
            hint="give a later `--until`, so that the hold-out follows what both models have learned from",
        )


def _blocks(prepared: Prepared) -> NDArray[np.int64]:
    return np.unique(prepared.blocks[prepared.split.holdout], return_inverse=True)[1].astype(np.int64)


def _window(prepared: Prepared) -> dict[str, str | None]:
    cuts = prepared.split.cuts
    return {"start": cuts.holdout_start if cuts else None, "end": cuts.holdout_end if cuts else None}
