"""What a policy of retraining comes to: how often it trains for nothing, and what it does in the real year.

`make curves` stores the figures, `generate.py` writes the tables of `concepts/retraining.md` from them. Weeks, and
which columns violate in which, are those of `drift.py`; the alarm's rule and the decision to train are the code that
runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import drift

ROOT = Path(__file__).parent.parent
PAGE, DATA = "docs/concepts/retraining.md", "docs/concepts/retraining.json"
BEGIN, END = "<!-- retrainings: written by `make docs` from retraining.json -->", "<!-- end of retrainings -->"
SEED, DRAWS, WEEKS_OF_YEAR = 0, 400, 52.18
LAG = 7
"""Weeks before now that training does not learn from: calibration and hold-out judge on them (`split`'s defaults)."""
POLICIES = {
    "whenever there is an alarm": {"cooldown_days": 0, "monthly": 31},
    "the default: 7 days apart, 4 in 30 days": {},
    "28 days apart": {"cooldown_days": 28},
}
GATES = ("passes", "refuses")
FIRST = datetime(2013, 1, 7, tzinfo=UTC)
"""Begin of the first whole week."""
WINTER = 12
"""Weeks that the first model of the real year has learned from: until the end of March."""


def main() -> None:
    """Simulate, and store the figures."""
    (ROOT / DATA).write_text(json.dumps(simulate(DRAWS), indent=1) + "\n")


def simulate(draws: int) -> dict[str, Any]:
    """Return retrainings a year of weeks in random order, by weeks learned from and policy, and the real year's."""
    import numpy as np

    columns = list(drift.weekly().values())
    weeks = len(columns[0][1])
    random = np.random.default_rng(SEED)
    orders = [random.permutation(weeks) for _ in range(draws)]

    def by_policy(orders: Sequence[Any], learned: int) -> dict[str, Any]:
        return {
            name: {
                gate: [begun(columns, order, learned, policy, gate == "passes") for order in orders] for gate in GATES
            }
            for name, policy in POLICIES.items()
        }

    found = {}
    for learned in drift.LEARNED:
        years = draws * (weeks - learned - LAG) / WEEKS_OF_YEAR
        found[str(learned)] = {
            name: {gate: round(sum(map(len, times)) / years, 2) for gate, times in gates.items()}
            for name, gates in by_policy(orders, learned).items()
        }
    real = by_policy([range(weeks)], WINTER)
    dates = {
        name: {gate: [_end(place).date().isoformat() for place in times[0]] for gate, times in gates.items()}
        for name, gates in real.items()
    }
    return {"version": 1, "seed": SEED, "draws": draws, "weeks": weeks, "learned": found, "2013": dates}


def begun(columns: list[Any], order: Any, learned: int, policy: dict[str, Any], passes: bool) -> list[int]:
    """Return the weeks, by their place in an order, at whose end a retraining begins.

    The first version has learned from the first `learned` of them, and serves `LAG` weeks later. What a retraining
    makes passes its gate and serves from the next week on, with a profile of its own, or none ever does.
    """
    from mlplat.controller import triggers
    from mlplat.controller.triggers import Verdict
    from mlplat.spec.retraining import RetrainingPolicy

    wanted = RetrainingPolicy(on=("drift",), **policy)
    version, since = 1, learned + LAG
    times: list[datetime] = []
    places = []
    over = _over(columns, order, learned)
    for place in range(since, len(order)):
        now = _end(place)
        alarms = _alarms(over[:, since : place + 1])
        verdict = Verdict(version=1, endpoint="flights/late", model_version=str(version), time=now, alarms=alarms)
        due = triggers.due(wanted, now, triggers.Serving(str(version), None, _end(since)), verdict, times)
        if due is None or due.held:
            continue
        times.append(now)
        places.append(place)
        if passes:
            version, since, over = version + 1, place + 1, _over(columns, order, place + 1 - LAG)
    return places


def _over(columns: list[Any], order: Any, learned: int) -> Any:
    """Return which columns violate in which week (columns × weeks) by the profile of the first so many."""
    weeks = list(order)
    return drift.violated(columns, weeks[:learned], weeks)["both"]


def _alarms(over: Any) -> tuple[Any, ...]:
    from mlplat.controller.triggers import Alarm
    from mlplat.runtime.monitoring.windows import Rule
    from mlplat.spec.monitoring import MonitoringSpec

    rule = Rule(MonitoringSpec().violations, MonitoringSpec().windows)
    return (Alarm(kind="drift", message="drift"),) if any(rule.holds(column.tolist()) for column in over) else ()


def _end(place: int) -> datetime:
    return FIRST + timedelta(weeks=place + 1)


def pages() -> dict[str, str]:
    """Return the page with its tables, by its path in the repository."""
    text = (ROOT / PAGE).read_text()
    before, rest = text.split(BEGIN)
    return {PAGE: f"{before}{BEGIN}\n\n{table(json.loads((ROOT / DATA).read_text()))}\n\n{END}{rest.split(END)[1]}"}


def table(stored: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = ["| learned from | trained anew | gate passes what comes of it | gate refuses it |", "|---|---|---|---|"]
    for weeks, policies in stored["learned"].items():
        for name, a_year in policies.items():
            lines.append(f"| {weeks} weeks | {name} | {a_year['passes']:.2f} | {a_year['refuses']:.2f} |")
    lines += ["", "2013 in its order, after January to March:", ""]
    lines += ["| trained anew | gate passes what comes of it | gate refuses it |", "|---|---|---|"]
    for name, dates in stored["2013"].items():
        lines.append(f"| {name} | {', '.join(_day(each) for each in dates['passes'])} | {_summed(dates['refuses'])} |")
    return "\n".join(lines)


def _summed(dates: list[str]) -> str:
    return f"{len(dates)} times, {_day(dates[0])} to {_day(dates[-1])}" if dates else "never"


def _day(date: str) -> str:
    found = datetime.fromisoformat(date)
    return f"{found.day} {found:%B}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "platform"))
    main()
