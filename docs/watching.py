"""The page of alerts, which the rules themselves are the source of: part of what `generate.py` writes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import watchspecs  # noqa: E402 - found by the line above
from mlplat.spec.platform import PlatformSpec  # noqa: E402
from mlplat.watching import catalogue, dashboards, exported  # noqa: E402
from mlplat.watching.dashboards.panel import Board  # noqa: E402
from mlplat.watching.rule import PAGE, Alert  # noqa: E402

NOTE = "<!-- Written by `make docs` from the code; do not edit. -->"
LEAD = """What Prometheus tells people of on a cluster. `critical` is worth waking somebody for and is sent again after
4 hours, `warning` is for the next working day, `info` for whoever looks; who hears of what is said in
`kubernetes.monitoring.receivers`. Every alert names the command to run next. The rules stand in
`platform/mlplat/watching`; tests let Prometheus's own tool see each of them fire, and stay silent at the nearest thing
that is no fault.

An alert's label `in_namespace` says where its cause is. Its label `namespace` is always `mlplat`: an Alertmanager that
is somebody else's takes a namespace's routes for that namespace's alerts alone.

On one computer the rules that hold there are files for a Prometheus of one's own ([how](../how-to/prometheus.md)), and
those whose cause the controller itself knows are told without one ([how](../how-to/alerts.md))."""
METRICS = """What rules and dashboards read, beside what our own programs give. A test holds every expression against
this table; names are looked up again when a version changes."""


def pages() -> dict[str, str]:
    """Return the page's content, by its path in the repository."""
    return {PAGE: "\n\n".join([NOTE, "# Alerts", LEAD, *_alerts(), *_dashboards(), *_metrics()]) + "\n"}


def _alerts() -> Iterator[str]:
    found: dict[str, dict[str, Alert]] = {}
    for spec in (*watchspecs.both().values(), PlatformSpec()):
        for alert in catalogue.alerts(spec):
            # A team's own is like any other's.
            key = alert.name if "team" in alert.labels else alert.key
            found.setdefault(alert.name, {}).setdefault(key, alert)
    for name in sorted(found):
        yield from _alert(name, list(found[name].values()))


def _alert(name: str, alerts: list[Alert]) -> Iterator[str]:
    first = alerts[0]
    yield f"## {name}"
    summary = _plain(first.summary)
    yield f"{summary[0].upper()}{summary[1:]}. {first.description}"
    rows = "\n".join(f"| {each.severity} | {_hold(each)} | `{_cell(each.expr)}` |" for each in alerts)
    yield f"| severity | for | when |\n|---|---|---|\n{rows}"
    yield f"```sh\n{_plain(first.command)}\n```"


def _hold(alert: Alert) -> str:
    return "at once" if alert.hold == "0s" else alert.hold


def _plain(template: str) -> str:
    """Write a template's places as names: `{{ $labels.endpoint }}` as `ENDPOINT`."""
    return re.sub(r"\{\{ \$(?:labels\.)?(\w+)[^}]* \}\}", lambda place: place[1].upper(), template)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _dashboards() -> Iterator[str]:
    yield "## Dashboards"
    rows = "\n".join(
        f"| {board.title} | {board.description} | {', '.join(_panels(board))} |"
        for board in dashboards.boards(watchspecs.cluster())
    )
    yield f"`mlplat open grafana` shows them.\n\n| page | what for | panels |\n|---|---|---|\n{rows}"


def _panels(board: Board) -> list[str]:
    return [panel.title for row in board.rows for panel in row.panels]


def _metrics() -> Iterator[str]:
    yield "## Metrics of others"
    yield METRICS
    rows = "\n".join(
        f"| {exporter.name} | {', '.join(f'`{metric}`' for metric in exporter.metrics)} | {exporter.source} |"
        for exporter in exported.EXPORTERS
    )
    yield f"| who | metrics | where they were read |\n|---|---|---|\n{rows}"
