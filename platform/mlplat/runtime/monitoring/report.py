"""The page of one look at an endpoint: self-contained HTML with small pictures of our own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mlplat.runtime.monitoring import distance
from mlplat.runtime.monitoring.checks import KINDS, MEASURES
from mlplat.runtime.monitoring.profile import ColumnProfile, Profile

WIDTH, HEIGHT = 240, 60
"""Of a picture, in CSS pixels."""
SHOWN = 30
"""Most categories of a picture."""


@dataclass(frozen=True)
class Line:
    """What the page's table says of one column."""

    name: str
    measures: list[tuple[str, float | None, float, bool]]
    """Name, value in the latest judged window, threshold, and whether it is over."""
    violations: int
    ratios: str
    """How many times its thresholds a column was in each window, as SVG."""
    shares: str
    """Reference beside the latest judged window, as SVG."""
    is_calibrated: bool


def html(document: dict[str, Any], profile: Profile, latest: dict[str, np.ndarray]) -> str:
    """Return the page of a report; `latest` has the counts of the latest judged window by column."""
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    judged = [window for window in document["windows"] if window["judged"]]
    made = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    lines = [_line(column, judged, latest) for column in profile.columns if column.name in latest]
    lines.sort(key=lambda line: (-line.violations, line.name))
    return made.get_template("report.html.jinja").render(
        report=document, lines=lines, predicted=_calibration(document), names=MEASURES
    )


def _line(column: ColumnProfile, judged: Sequence[dict[str, Any]], latest: dict[str, np.ndarray]) -> Line:
    last = judged[-1]["measures"][column.name]
    return Line(
        column.name,
        [(MEASURES[name], each["value"], each["threshold"], each["over"]) for name, each in last.items()],
        sum(column.name in window["columns"] for window in judged),
        polyline([_ratio(window["measures"].get(column.name, {})) for window in judged], limit=1.0),
        bars(*_binned(column, latest[column.name])),
        bool(column.thresholds),
    )


def _ratio(measures: dict[str, Any]) -> float:
    """Return how many times the thresholds of some kind are reached: above 1 is a violation."""

    def times(name: str) -> float:
        return float((measures[name]["value"] or 0.0) / measures[name]["threshold"])

    kinds = [[times(name) for name in names if name in measures] for names in KINDS.values()]
    return max((min(found) for found in kinds if found), default=0.0)


def _binned(column: ColumnProfile, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of bins of the reference and of a window, in the order of their values where there is one."""
    order = np.unique(column.bins, return_index=True)[1].argsort()
    pair = [distance.grouped(each, column.bins)[order][:SHOWN] for each in (column.total, counts)]
    return pair[0] / max(pair[0].sum(), 1), pair[1] / max(pair[1].sum(), 1)


def _calibration(document: dict[str, Any]) -> str:
    """Return mean prediction and mean label of each ripe window as SVG; empty without any."""
    known = [each for each in (document["performance"] or {}).get("windows", []) if each["observed"] is not None]
    if not known:
        return ""
    predicted, observed = ([float(each[name]) for each in known] for name in ("predicted", "observed"))
    low = min(0.0, *predicted, *observed)
    return polyline([value - low for value in predicted], other=[value - low for value in observed])


def polyline(values: Sequence[float], *, limit: float | None = None, other: Sequence[float] = ()) -> str:
    """Return a line over windows as SVG, with a dashed limit or a second, dotted line."""
    top = max([*values, *other, limit or 0.0, 1e-9]) * 1.1

    def points(line: Sequence[float]) -> str:
        step = WIDTH / max(len(line) - 1, 1)
        return " ".join(f"{place * step:.1f},{HEIGHT - value / top * HEIGHT:.1f}" for place, value in enumerate(line))

    drawn = [f'<polyline class="main" points="{points(values)}"/>']
    drawn += [
        f'<circle class="main" cx="{place * WIDTH / max(len(values) - 1, 1):.1f}" '
        f'cy="{HEIGHT - value / top * HEIGHT:.1f}" r="2.5"/>'
        for place, value in enumerate(values)
    ]
    if limit is not None:
        y = HEIGHT - limit / top * HEIGHT
        drawn.append(f'<line class="limit" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
    if other:
        drawn.append(f'<polyline class="other" points="{points(other)}"/>')
    return _svg(drawn)


def bars(reference: np.ndarray, current: np.ndarray) -> str:
    """Return two distributions over the same bins as SVG, side by side."""
    top, width = max(float(reference.max(initial=0)), float(current.max(initial=0)), 1e-9), WIDTH / len(reference)
    drawn = []
    for place, pair in enumerate(zip(reference.tolist(), current.tolist(), strict=True)):
        for which, (kind, share) in enumerate(zip(("reference", "current"), pair, strict=True)):
            x, tall = (place + 0.1 + which * 0.4) * width, share / top * HEIGHT
            drawn.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{HEIGHT - tall:.1f}" width="{0.4 * width:.1f}" '
                f'height="{tall:.1f}"/>'
            )
    return _svg(drawn)


def _svg(drawn: Sequence[str]) -> str:
    return f'<svg viewBox="-4 -4 {WIDTH + 8} {HEIGHT + 8}" role="img">{"".join(drawn)}</svg>'
