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
from mlplat.runtime import abstention, bundles, gate, ledger, registry
from mlplat.runtime.gate import adversarial, cost, floors
from mlplat.runtime.split import Split
from mlplat.runtime.steps.preparation import Prepared
from mlplat.runtime.steps.training import Trained
from mlplat.spec.project import ProjectSpec

REPORT_VERSION = 2


def judge(spec: ProjectSpec, prepared: Prepared, trained: Trained) -> dict[str, Any]:
    """Judge the bundle, loaded as a server loads it, against the champion on the same rows; return the report.

    Raises `RefusedError` when the challenger or the champion has learned from the hold-out.
    """
    from mlplat.serving.model import load, withheld

    refuse_leak(prepared.split, timed=spec.data.time is not None)
    name = Name(spec.project, spec.model)
    uses = ledger.read(name, prepared.window_hash)
    rows = prepared.features.iloc[prepared.split.holdout]
    with tempfile.TemporaryDirectory(prefix="mlplat-judge-") as folder:
        champion = registry.champion(name, Path(folder, "champion")) if registry.is_connected() else None
        if champion:
            refuse_seen(prepared.split, champion)
        model = load(bundles.unpack(trained.packed, Path(folder, "challenger")), digest=trained.digest)
        scores, spent = model.score(rows), cost.measure(model, rows)
        theirs = load(champion.folder, digest=champion.digest).score(rows) if champion else None
    look = gate.Look(uses.look(trained.digest), spec.gate.confidence)
    holdout = holdout_of(spec, prepared)
    verdict = gate.judge(
        spec,
        holdout,
        scores,
        theirs,
        look=look.number,
        threshold=trained.threshold,
        abstained=withheld(model.contract, scores),
        seeds=_seeds(spec, trained),
    ).with_rules(*gate.format_rule(spec, trained.served), *cost.rules(spent, spec.gate.budget))
    return {
        "version": REPORT_VERSION,
        "digest": trained.digest,
        "model": str(name),
        **verdict.described(),
        "served": trained.served.described(),
        **(abstention.measured(spec, model.contract, holdout, scores) if verdict.metrics else {}),
        "latency": spent.described(),
        "adversarial": adversarial.told_apart(prepared.features.iloc[prepared.split.train], rows),
        "champion": {"version": champion.version, "digest": champion.digest} if champion else None,
        "holdout": {
            **_window(prepared),
            "rows": len(rows),
            "hash": prepared.holdout_hash,
            "uses": len(uses.uses) + 1,
            "look": look.number,
            "confidence": round(look.needed, 6),
            "ledger": uses.described(),
        },
    }


def refuse_leak(made: Split, *, timed: bool) -> None:
    """Raise `RefusedError` when rows that judge were learned from, or were known before learning had ended."""
    learned = np.concatenate([made.train, made.calibration])
    if len(both := np.intersect1d(learned, made.holdout)):
        raise RefusedError(
            f"{len(both)} rows of the hold-out are learned from as well: the model would be judged on what it knows",
            hint="`split.by_time` and `split.without_time` of mlplat.runtime divide rows so that none is in two blocks",
        )
    if not timed:
        return
    if made.learned_until is None or made.judged_from is None:
        raise RefusedError(
            "rows have a time and are not divided by it: a random split tells a model what it will be asked",
            hint="divide them with `split.by_time` of mlplat.runtime",
        )
    if pd.Timestamp(made.learned_until) >= pd.Timestamp(made.judged_from):
        raise RefusedError(
            f"labels known by {made.learned_until} are learned from, and the hold-out's first prediction is asked for "
            f"on {made.judged_from}",
            hint="leave the label horizon between them, as `split.by_time` of mlplat.runtime does",
        )


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


def holdout_of(spec: ProjectSpec, prepared: Prepared) -> gate.Holdout:
    """Return the rows that judge, resampled by their days, and what was to be expected of them without a model."""
    train, judged = prepared.split.train, prepared.split.holdout
    labels, column = prepared.labels, spec.gate.climatology
    values = (prepared.named[column].iloc[part] for part in (train, judged)) if column else ()
    blocks: NDArray[np.int64] = np.unique(prepared.blocks[judged], return_inverse=True)[1].astype(np.int64)
    prior = floors.climatology(labels[train], *values)
    columns = prepared.named.iloc[judged] if spec.gate.named else pd.DataFrame()
    return gate.Holdout(labels[judged], blocks, prior, columns)


def _seeds(spec: ProjectSpec, trained: Trained) -> gate.Seeds | None:
    return None if trained.seed_spread is None else gate.Seeds(trained.seed_spread, spec.search.seeds)


def _window(prepared: Prepared) -> dict[str, str | None]:
    cuts = prepared.split.cuts
    return {"start": cuts.holdout_start if cuts else None, "end": cuts.holdout_end if cuts else None}
