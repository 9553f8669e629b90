"""Panels, rows and pages of Grafana as values, and the JSON that it reads: the classic form of Grafana 11 and later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = 39
"""Version of the form, of Grafana 11.0; newer ones read it and say nothing."""
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
ALL = "$__all"

Kind = Literal["timeseries", "stat", "bargauge", "table", "state-timeline", "heatmap"]


@dataclass(frozen=True)
class Query:
    """An expression, and how its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 8
    description: str = ""
    steps: tuple[tuple[float, str], ...] = ()
    """From which value on it has which colour; below the first it is green."""
    stacked: bool = False
    most: float | None = None
    """Upper end of the axis; unset, what the data ask for."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What is written for a value."""

    def document(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel as Grafana reads it, at a place."""
        made = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [self._target(place, query) for place, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": _OPTIONS[self.kind],
        }
        return {**made, "description": self.description} if self.description else made

    def _target(self, place: int, query: Query) -> dict[str, Any]:
        return {
            "refId": chr(ord("A") + place),
            "datasource": SOURCE,
            "expr": query.expr,
            "legendFormat": query.legend or "__auto",
            # A table and a number want the latest value; a heat map wants buckets.
            "instant": self.kind in ("table", "stat", "bargauge"),
            "range": self.kind not in ("table", "stat", "bargauge"),
            "format": {"table": "table", "heatmap": "heatmap"}.get(self.kind, "time_series"),
        }

    def _defaults(self) -> dict[str, Any]:
        steps = [{"value": None, "color": "green"}, *({"value": at, "color": color} for at, color in self.steps)]
        made: dict[str, Any] = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}}
        if self.kind == "timeseries":
            stacking = {"mode": "normal" if self.stacked else "none", "group": "A"}
            made["custom"] = {"fillOpacity": 30 if self.stacked else 8, "showPoints": "never", "stacking": stacking}
            made["min"] = 0
        if self.most is not None:
            made["max"] = self.most
        if self.texts:
            options = {value: {"text": text, "index": place} for place, (value, text) in enumerate(self.texts.items())}
            made["mappings"] = [{"type": "value", "options": options}]
        return made


_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True}
_REDUCE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {"reduceOptions": _REDUCE, "colorMode": "value", "graphMode": "none", "textMode": "auto"},
    "bargauge": {"reduceOptions": _REDUCE, "displayMode": "basic", "orientation": "horizontal"},
    "table": {"showHeader": True},
    "state-timeline": {"legend": _LEGEND, "mergeValues": True, "showValue": "auto"},
    "heatmap": {"calculate": False, "yAxis": {"axisPlacement": "left"}, "legend": {"show": False}},
}


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """What a reader of a page chooses: values of a label."""

    name: str
    metric: str
    label: str
    within: str = ""
    """Matchers by variables that were chosen before."""

    def document(self) -> dict[str, Any]:
        """Return the variable as Grafana reads it."""
        selector = f"{{{self.within}}}" if self.within else ""
        query = f"label_values({self.metric}{selector}, {self.label})"
        return {
            "type": "query",
            "name": self.name,
            "label": self.name,
            "datasource": SOURCE,
            "definition": query,
            "query": {"query": query, "refId": f"variable-{self.name}"},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": [ALL]},
        }


@dataclass(frozen=True)
class Board:
    """A page."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    alerts: str = ""
    """Matchers of the alerts that are drawn into every picture; empty, there are none."""

    def document(self) -> dict[str, Any]:
        """Return the page as Grafana reads it."""
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["mlplat"],
            "timezone": "browser",
            "editable": False,
            "graphTooltip": 1,
            "schemaVersion": SCHEMA,
            "version": 1,
            "refresh": "1m",
            "time": {"from": "now-6h", "to": "now"},
            "links": [{"type": "dashboards", "tags": ["mlplat"], "title": "mlplat", "asDropdown": True}],
            "templating": {"list": [_DATASOURCE, *(each.document() for each in self.variables)]},
            "annotations": {"list": [_annotation(self.alerts)] if self.alerts else []},
            "panels": list(_placed(self.rows)),
        }


_DATASOURCE = {
    "type": "datasource",
    "name": "datasource",
    "label": "metrics",
    "query": "prometheus",
    "refresh": 1,
    "regex": "",
    "includeAll": False,
    "multi": False,
}


def _annotation(matchers: str) -> dict[str, Any]:
    return {
        "name": "alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": f'ALERTS{{alertstate="firing", {matchers}}}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
    }


def _placed(rows: tuple[Row, ...]) -> Iterator[dict[str, Any]]:
    """Give rows one under the other, and their panels from left to right."""
    number, y = 1, 0
    for row in rows:
        yield _heading(row.title, number, y)
        number, y, x, tallest = number + 1, y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            yield panel.document(number, x, y)
            number, x, tallest = number + 1, x + panel.width, max(tallest, panel.height)
        y += tallest


def _heading(title: str, number: int, y: int) -> dict[str, Any]:
    place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
