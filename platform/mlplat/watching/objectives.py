"""Alerts on promises: how fast an endpoint uses up the failures that 30 days of its objective allow.

With an objective of 99.5 %, one request of 200 may fail. A burn rate of 1 uses exactly that up in 30 days, one of 14.4
two per cent of it in an hour. Each alert looks at a long window, so that it is worth somebody's time, and at a short
one, so that it ends soon after the fault does. Windows and rates are those of Google's *Site Reliability Workbook*,
chapter 5, table 5-8.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlplat.spec.kubernetes import ObjectivesSpec
from mlplat.watching import gateway
from mlplat.watching.rule import Alert, Group, Recording, Severity

STEP_SECONDS = 60
"""Time between two samples of a record: how many stand for a window."""


@dataclass(frozen=True)
class Burn:
    """A pair of windows, and the rate in both of them that somebody is told of."""

    long: str
    short: str
    rate: float
    severity: Severity
    spent: str
    """How much of what 30 days allow is gone within the long window."""


BURNS = (
    Burn("1h", "5m", 14.4, "critical", "2 %"),
    Burn("6h", "30m", 6, "critical", "5 %"),
    Burn("1d", "2h", 3, "warning", "10 %"),
    Burn("3d", "6h", 1, "warning", "10 %"),
)
WINDOWS = {"5m": 5, "30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": 1440, "3d": 4320}
"""Minutes of each window."""


@dataclass(frozen=True)
class Promise:
    """One kind of answer that is counted against an endpoint."""

    alert: str
    bad: str
    """Record of the rate of bad answers."""
    all: str
    """Record of the rate of answers that are judged."""
    ratio: str
    """Record of bad among all: the window is added to its name."""
    allowed: float
    """Share of bad answers that the objective allows."""
    what: str
    command: str


def promises(objectives: ObjectivesSpec) -> tuple[Promise, ...]:
    """Return what is promised: few failures, few slow answers."""
    return (
        Promise(
            "EndpointErrorBudgetBurn",
            gateway.FAILURES,
            gateway.REQUESTS,
            "endpoint:failures:ratio",
            _rounded(1 - objectives.availability),
            "answered with a status of 500 or above, or not at all",
            "mlplat endpoint show {{ $labels.endpoint }}",
        ),
        Promise(
            "EndpointLatencyBudgetBurn",
            gateway.SLOW,
            gateway.TIMED,
            "endpoint:slow:ratio",
            _rounded(1 - objectives.latency_share),
            f"answered after more than {objectives.latency_ms} ms",
            "mlplat endpoint show {{ $labels.endpoint }}",
        ),
    )


def groups(objectives: ObjectivesSpec) -> tuple[Group, ...]:
    """Return a group a promise: its shares by window, then its alerts."""
    return tuple(
        Group(
            f"objective-{promise.bad.split(':')[1]}",
            (*_ratios(promise), *(_alert(promise, burn, objectives.min_failures) for burn in BURNS)),
            STEP_SECONDS,
        )
        for promise in promises(objectives)
    )


def _ratios(promise: Promise) -> tuple[Recording, ...]:
    # Sums of the recorded rates, and not the mean of shares: a quiet hour weighs as much as it has requests.
    return tuple(
        Recording(
            f"{promise.ratio}_{window}",
            f"sum_over_time({promise.bad}[{window}]) / (sum_over_time({promise.all}[{window}]) > 0)",
        )
        for window in WINDOWS
    )


def _alert(promise: Promise, burn: Burn, least: int) -> Alert:
    limit = _rounded(burn.rate * promise.allowed)
    count = f"sum_over_time({promise.bad}[{burn.long}]) * {STEP_SECONDS}"
    return Alert(
        promise.alert,
        f"{promise.ratio}_{burn.long} > {limit:g} and {promise.ratio}_{burn.short} > {limit:g} and {count} >= {least}",
        burn.severity,
        f"{{{{ $labels.endpoint }}}}: {{{{ $value | humanizePercentage }}}} of the requests of {burn.long} are"
        f" {promise.what}",
        f"Within {burn.long} this uses up {burn.spent} of what 30 days allow: of all requests,"
        f" {promise.allowed * 100:g} % may be {promise.what}. Callers notice.",
        promise.command,
        labels={"window": burn.long},
    )


def _rounded(share: float) -> float:
    return float(f"{share:.6g}")
