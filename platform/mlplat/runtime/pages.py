"""What a run leaves for people to read: explanations, pictures, and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlplat.runtime import card, explanations, plots, reliability
from mlplat.runtime.explanations import Rows
from mlplat.runtime.steps.preparation import Prepared
from mlplat.serving.model import Model, load
from mlplat.spec.project import ProjectSpec

EXPLANATIONS = "explanations.json"
CARD = "card/card"
"""Of which there is one that ends in `.md` and one in `.html`."""


@dataclass(frozen=True)
class Pages:
    """All of it, before the run has a number."""

    run: card.Run

    def write(self, folder: Path, lineage: Mapping[str, str]) -> Path:
        """Write the files into a folder, and return it; `lineage` says what is known of the run only now."""
        run = replace(self.run, lineage={**self.run.lineage, **lineage})
        files = {
            EXPLANATIONS: json.dumps(dict(run.explained), indent=2) + "\n",
            f"{CARD}.md": card.markdown(run),
            f"{CARD}.html": card.html(run),
            **{f"plots/{name}.svg": svg for name, svg in run.pictures.items()},
        }
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return folder


def of(
    spec: ProjectSpec,
    prepared: Prepared,
    bundle: Path,
    report: dict[str, Any],
    *,
    split: Mapping[str, Any],
    settings: Mapping[str, Any],
    fitted: Mapping[str, Any],
    lineage: Mapping[str, str],
    project: Path,
) -> Pages:
    """Explain a judged bundle on its hold-out, and gather everything that its card tells."""
    model = load(bundle, digest=report["digest"])
    chosen = prepared.split.holdout
    judged = Rows(prepared.features.iloc[chosen], prepared.labels[chosen], prepared.blocks[chosen])
    explained = explanations.explain(spec, model, judged)
    bins, pictures = _pictures(spec, model, judged)
    return Pages(
        card.Run(
            spec=spec,
            contract=model.contract,
            digest=model.digest,
            report=report,
            split=split,
            explained=explained,
            settings=settings,
            fitted=fitted,
            lineage=lineage,
            about=card.about(project),
            bins=bins,
            pictures={**pictures, **plots.of_importance(explained)},
        )
    )


def _pictures(spec: ProjectSpec, model: Model, judged: Rows) -> tuple[list[reliability.Bin], dict[str, str]]:
    """Return reliability and pictures of the whole hold-out; none where it cannot be judged by at all."""
    if judged.too_few(spec.task):
        return [], {}
    scores = model.score(judged.features)
    if spec.task == "regression":
        return [], plots.of_values(judged.labels, scores)
    bins = reliability.bins(judged.labels, scores, judged.blocks, spec.gate.confidence)
    return bins, plots.of_scores(judged.labels, scores, bins, model.contract.threshold)
