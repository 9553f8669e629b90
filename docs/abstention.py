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
LEFT, TOP, WIDE, HIGH, MOST = 64, 40, 560, 260, 0.3


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
    wide, high = LEFT + WIDE + 24, TOP + HIGH + 62
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img"'
        ' aria-label="What a row costs with and without leaving some to a person, by the cost of a look">'
    )
    yield "<style>text{font:12px ui-sans-serif,Helvetica,Arial,sans-serif;fill:#24292f}</style>"
    yield f'<rect width="{wide}" height="{high}" fill="#ffffff"/>'
    yield f'<text x="{LEFT}" y="22" style="font-weight:600">Cost of a row, with 1 for a mistake of either kind</text>'
    for cost in (0, 0.1, 0.2, 0.3):
        yield f'<line x1="{LEFT}" x2="{LEFT + WIDE}" y1="{_y(cost):.1f}" y2="{_y(cost):.1f}" stroke="#d0d7de"/>'
        yield f'<text x="{LEFT - 8}" y="{_y(cost) + 4:.1f}" text-anchor="end">{cost:g}</text>'
    for cost in (0, *TABLED, 0.5):
        yield f'<text x="{_x(cost):.1f}" y="{TOP + HIGH + 20}" text-anchor="middle">{cost:g}</text>'
    yield (
        f'<text x="{LEFT + WIDE / 2}" y="{TOP + HIGH + 44}" text-anchor="middle">cost of a look (broken line: every row'
        " is labelled)</text>"
    )
    for place, (month, found) in enumerate(months.items()):
        colour, labelled = COLOURS[month], found["labelled"]
        costs = {float(cost): labelled - told["saved_per_row"]["value"] for cost, told in found["by_cost"].items()}
        line = " ".join(f"{_x(cost):.1f},{_y(value):.1f}" for cost, value in costs.items())
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield (
            f'<line x1="{_x(0):.1f}" x2="{_x(0.5):.1f}" y1="{_y(labelled):.1f}" y2="{_y(labelled):.1f}"'
            f' stroke="{colour}" stroke-width="2" stroke-dasharray="6 4"/>'
        )
        y = TOP + HIGH - 34 + 18 * place
        yield f'<text x="{LEFT + WIDE - 4}" y="{y}" text-anchor="end" style="fill:{colour}">{month}</text>'
    yield "</svg>"


def _x(cost: float) -> float:
    return LEFT + WIDE * cost / 0.5


def _y(cost: float) -> float:
    return TOP + HIGH * (1 - cost / MOST)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "platform"))
    main()
