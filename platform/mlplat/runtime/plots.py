"""The pictures of a run, as SVG: the same bytes for the same numbers, in colours that a page can change."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mlplat.runtime.evenly import evenly
from mlplat.runtime.metrics import Floats
from mlplat.runtime.reliability import Bin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MAIN, SOFT = "#1f2933", "#2563eb", "#94a3b8"
"""Text and axes; what is shown; what it is compared with."""
WIDTH, HEIGHT = 4.6, 3.4
"""Inches, at 72 points."""
SHOWN = 15
"""Most columns in the picture of importance."""
POINTS = 400
"""Most points of a curve or a cloud: a picture of more is larger, not clearer."""
SETTINGS: Any = {  # of matplotlib's own names, each with a type of its own
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched, and takes the page's own font
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
Draw = Callable[["Axes"], None]


def of_scores(labels: Floats, scores: Floats, bins: list[Bin], threshold: float | None) -> dict[str, str]:
    """Return the pictures of a binary model by name, from labels (n, 0 or 1), scores (n) and their reliability."""
    return {
        "roc": _picture("roc", lambda axes: _roc(axes, labels, scores)),
        "precision-recall": _picture("precision-recall", lambda axes: _precision(axes, labels, scores)),
        "reliability": _picture("reliability", lambda axes: _reliability(axes, bins)),
        "scores": _picture("scores", lambda axes: _scores(axes, labels, scores, threshold)),
    }


def of_values(labels: Floats, values: Floats) -> dict[str, str]:
    """Return the pictures of a regression by name, from true and predicted values (n)."""
    return {
        "predicted": _picture("predicted", lambda axes: _predicted(axes, labels, values)),
        "errors": _picture("errors", lambda axes: _errors(axes, labels, values)),
    }


def of_importance(explained: dict[str, Any]) -> dict[str, str]:
    """Return the picture of an explanation by name; none where nothing was explained."""
    found = [*explained["groups"], *explained["columns"]][: SHOWN + len(explained["groups"])]
    if not found:
        return {}
    height = 0.9 + 0.24 * len(found)
    return {"importance": _picture("importance", lambda axes: _importance(axes, found, explained["unit"]), height)}


def themed(svg: str) -> str:
    """Return a picture for a page: without its head, in the page's own colours."""
    body = svg[svg.index("<svg") :]
    for colour, variable in ((INK, "currentColor"), (MAIN, "var(--main)"), (SOFT, "var(--soft)")):
        body = body.replace(colour, variable)
    return body


def _picture(name: str, draw: Draw, height: float = HEIGHT) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The salt makes ids from the picture's name, so that those of two pictures on one page differ.
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        # Text is drawn by whoever shows the picture, with fonts of its own: here it is only measured.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _thinned(*curves: Floats) -> list[Floats]:
    count = len(curves[0])
    kept = evenly(count, POINTS)
    return [curve[kept] for curve in curves]


def _roc(axes: Axes, labels: Floats, scores: Floats) -> None:
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(labels, scores)
    axes.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
    axes.plot(*_thinned(false, true), color=MAIN, linewidth=1.6)
    axes.set(xlabel="false alarms, as a share of negatives", ylabel="found, as a share of positives", title="ROC curve")


def _precision(axes: Axes, labels: Floats, scores: Floats) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    axes.axhline(float(labels.mean()), color=SOFT, linestyle="--", linewidth=1)
    axes.plot(*_thinned(recall, precision), color=MAIN, linewidth=1.6)
    axes.set(
        xlabel="found, as a share of positives",
        ylabel="right, as a share of those called",
        ylim=(0, 1.02),
        title="Precision and recall",
    )


def _reliability(axes: Axes, bins: list[Bin]) -> None:
    said = np.array([each.said for each in bins])
    came = np.array([each.came.value for each in bins])
    ends = np.array([[each.came.low, each.came.high] for each in bins]).T
    limit = max(0.05, float(np.nanmax([said.max(), ends.max()])) * 1.05)
    axes.plot([0, limit], [0, limit], color=SOFT, linestyle="--", linewidth=1)
    axes.vlines(said, ends[0], ends[1], color=MAIN, linewidth=1.2)
    axes.plot(said, came, color=MAIN, marker="o", markersize=4, linewidth=1)
    axes.set(xlabel="mean probability", ylabel="share that came true", title="Reliability", xlim=(0, limit))
    axes.set_ylim(0, limit)


def _scores(axes: Axes, labels: Floats, scores: Floats, threshold: float | None) -> None:
    edges = np.linspace(0, 1, 41).tolist()
    axes.hist(scores[labels == 0], edges, density=True, color=SOFT, alpha=0.55, label="negative")
    axes.hist(scores[labels == 1], edges, density=True, histtype="step", color=MAIN, linewidth=1.6, label="positive")
    if threshold is not None:
        axes.axvline(threshold, color=INK, linestyle=":", linewidth=1.2, label="threshold")
    axes.set(xlabel="probability", ylabel="density", xlim=(0, 1), title="Scores by outcome")
    axes.legend(frameon=False)


def _predicted(axes: Axes, labels: Floats, values: Floats) -> None:
    ends = [float(min(labels.min(), values.min())), float(max(labels.max(), values.max()))]
    axes.plot(ends, ends, color=SOFT, linestyle="--", linewidth=1)
    axes.plot(*_thinned(values, labels), color=MAIN, marker=".", markersize=3, linestyle="none", alpha=0.6)
    axes.set(xlabel="predicted", ylabel="true", title="Predicted and true values")


def _errors(axes: Axes, labels: Floats, values: Floats) -> None:
    axes.hist(values - labels, 40, color=MAIN, alpha=0.7)
    axes.axvline(0, color=INK, linestyle=":", linewidth=1.2)
    axes.set(xlabel="predicted less true", ylabel="rows", title="Errors")


def _importance(axes: Axes, found: list[dict[str, Any]], unit: str) -> None:
    found = sorted(found, key=lambda each: (len(each["columns"]) > 1, each["value"]))
    places = np.arange(len(found))
    colours = [MAIN if len(each["columns"]) == 1 else SOFT for each in found]
    axes.barh(places, [each["value"] for each in found], color=colours, height=0.62)
    axes.hlines(places, [each["low"] for each in found], [each["high"] for each in found], color=INK, linewidth=1.1)
    axes.axvline(0, color=INK, linewidth=0.8)
    # A dollar would begin a formula.
    axes.set_yticks(places, [each["name"].replace("$", r"\$") for each in found])
    axes.set(xlabel=unit, title="What the answers rest on")
