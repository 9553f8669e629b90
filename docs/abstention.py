"""What leaving rows to a person comes to, by what a person's look costs, on flights that the model has not seen.

`make curves` trains the reference project with live features twice and stores the figures; `generate.py` writes the
table and the picture of `concepts/abstention.md` from them. Training, bundle, band and measures are the code that runs.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chart import HIGH, Chart, Line

ROOT = Path(__file__).parent.parent
PAGE, DATA, PICTURE = (f"docs/concepts/abstention.{ending}" for ending in ("md", "json", "svg"))
BEGIN, END = "<!-- curve: written by `make docs` from abstention.json -->", "<!-- end of the curve -->"
PACKAGE = "flights"
MONTHS = {"April": "2013-05-02", "June": "2013-07-02"}
"""Month that judges, and until when labels are known to the run."""
COSTS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
"""Of a look, beside 1 for a mistake of either kind."""
TABLED = (0.1, 0.2, 0.3, 0.4)
COLOURS = {"April": "#c9701a", "June": "#2f6db5"}


def main() -> None:
    """Train, measure, and store the figures."""
    (ROOT / DATA).write_text(json.dumps({"version": 1, "months": measure(1)}, indent=1) + "\n")


def measure(each: int) -> dict[str, Any]:
    """Return, by month, the cost of a row when all are labelled, and by cost of a look what abstaining comes to.

    Of the flights, every so many are taken: with all of them it takes half a minute.
    """
    from mlplat.runtime.split import Window
    from mlplat.runtime.steps import preparation, training
    from mlplat.scaffold import project, template

    with tempfile.TemporaryDirectory(prefix="mlplat-curve-") as folder:
        answers = {"data": "flights", "features": "live"}
        made = project.create(PACKAGE, template.find("tabular"), answers, into=Path(folder), ask=None).folder
        sys.path.insert(0, str(made / "src"))
        data, features, model, pipeline = (
            importlib.import_module(f"{PACKAGE}.{name}") for name in ("data", "features", "model", "pipeline")
        )
        spec = pipeline.specification(pipeline.options({}))
        # What goes on at an airport is made of all its flights.
        rows = features.build(data.load(spec, pipeline.PROJECT), spec).iloc[::each]
        found = {}
        for month, until in MONTHS.items():
            prepared = preparation.prepare(spec, preparation.Options(Window(until=until)), rows)
            found[month] = _month(spec, prepared, training.train(spec, prepared, model.make))
    return found


def _month(spec: Any, prepared: Any, trained: Any) -> dict[str, Any]:
    """Return one month's figures, each with an interval by whole days."""
    from mlplat.runtime import abstention, bundles
    from mlplat.runtime.steps import judgement
    from mlplat.serving.model import load

    holdout = judgement.holdout_of(spec, prepared)
    with tempfile.TemporaryDirectory(prefix="mlplat-curve-") as folder:
        served = load(bundles.unpack(trained.packed, Path(folder, "model")), digest=trained.digest)
        scores = served.score(prepared.features.iloc[prepared.split.holdout])
    forced = abstention.costs(spec.cost, holdout.labels, scores >= (trained.threshold or 0.5))
    by_cost = {}
    for cost in COSTS:
        asked = spec.model_copy(update={"cost": spec.cost.model_copy(update={"review": cost})})
        contract = served.contract.model_copy(update={"abstain": abstention.band(asked)})
        by_cost[f"{cost:g}"] = abstention.measured(asked, contract, holdout, scores)["abstention"]
    return {"rows": len(scores), "labelled": round(float(forced.mean()), 5), "by_cost": by_cost}


def pages() -> dict[str, str]:
    """Return the page with its table, and the picture, from what was measured last."""
    months = json.loads((ROOT / DATA).read_text())["months"]
    before, _, rest = (ROOT / PAGE).read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        PAGE: before + BEGIN + "\n\n" + "\n".join(_table(months)) + "\n\n" + END + after,
        PICTURE: "\n".join(_picture(months)) + "\n",
    }


def _table(months: dict[str, Any]) -> Iterator[str]:
    heads = ("month", "cost of a look", "band", "coverage", "a row costs", "saved a row", "a row that is left had cost")
    yield f"| {' | '.join(heads)} |"
    yield "|---|---:|---|---:|---:|---:|---:|"
    for month, found in months.items():
        for cost in TABLED:
            told = found["by_cost"][f"{cost:g}"]
            saved = told["saved_per_row"]
            yield (
                f"| {month} | {_number(cost, 1)} | {_number(told['low'], 1)} to {_number(told['high'], 1)}"
                f" | {told['coverage']['value']:.0%} | {_number(found['labelled'] - saved['value'])}"
                f" | {_interval(saved)} | {_interval(told['worth_of_a_review'])} |"
            )


def _interval(told: dict[str, float]) -> str:
    return f"{_number(told['value'])} [{_number(told['low'])}, {_number(told['high'])}]"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}".replace("0.", ".", 1)


def _picture(months: dict[str, Any]) -> Iterator[str]:
    """Draw what a row costs by what a look costs; broken, where every row is labelled."""
    looks = (0.0, *TABLED, 0.5)
    lines = []
    for month, found in months.items():
        colour, labelled = COLOURS[month], found["labelled"]
        costs = [(float(cost), labelled - told["saved_per_row"]["value"]) for cost, told in found["by_cost"].items()]
        lines.append(Line(costs, colour))
        lines.append(Line([(looks[0], labelled), (looks[-1], labelled)], colour, broken=True))
    drawn = Chart(
        told="What a row costs with and without leaving some to a person, by the cost of a look",
        title="Cost of a row, with 1 for a mistake of either kind",
        below="cost of a look (broken line: every row is labelled)",
        x_ticks=looks,
        y_ticks=(0, 0.1, 0.2, 0.3),
    )
    yield from drawn.drawn(lines, COLOURS, HIGH + 6)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "platform"))
    main()
