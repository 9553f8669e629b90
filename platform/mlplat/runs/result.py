"""What a run reported, as lines for a person: the model, its scores with intervals, and the gate's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]


def describe(result: Values) -> list[str]:
    """Return the lines that say what became of a run."""
    lines = [_headline(result)]
    if how := (result.get("split") or {}).get("how"):
        lines.append(f"split {how}")
    if served := result.get("served"):
        lines.append(f"served as {served.get('format')}: {served.get('reason')}")
    if metrics := result.get("metrics"):
        lines += ["", "metrics", *(f"  {name:<20} {score(value)}" for name, value in metrics.items())]
    if gate := result.get("gate"):
        lines += ["", *describe_gate(gate)]
    return lines


def _headline(result: Values) -> str:
    name, version = result.get("model"), result.get("version")
    if result.get("status") == "registered" and name:
        return f"registered {name} version {version}  {short(result.get('digest'))}"
    reason = f": {result['message']}" if result.get("message") else ""
    return f"{result.get('status', 'done')}{f' {name}' if name else ''}{reason}"


def describe_gate(report: Values) -> list[str]:
    """Return the lines of a gate report: what was judged on which rows, and every rule with its measure."""
    rules = report.get("rules", [])
    passed = sum(1 for rule in rules if rule.get("passed"))
    lines = [
        f"gate: {'passed' if report.get('passed') else 'refused'}, {passed} of {len(rules)} rules{_window(report)}"
    ]
    lines.append(f"  against {_champion(report.get('champion'))}")
    lines += _looks(report.get("holdout") or {})
    return lines + [f"  {'passed' if rule.get('passed') else 'FAILED'}  {describe_rule(rule)}" for rule in rules]


def describe_rule(rule: Values) -> str:
    """Write a rule with what was measured and required, and for a broken one by how much and why."""
    measured, required = rule.get("measured"), rule.get("required")
    text = f"{rule.get('name')}: {number(measured)}, required {number(required)}"
    if rule.get("passed"):
        return text
    if isinstance(measured, int | float) and isinstance(required, int | float):
        text += f", off by {number(float(abs(measured - required)))}"
    return text + (f" ({rule['detail']})" if rule.get("detail") else "")


def failed_rules(result: Values) -> list[str]:
    """Return the rules that refused a model, described; not those of which the result's message tells already."""
    rules = (result.get("gate") or {}).get("rules", [])
    told = str(result.get("message") or "")
    return [describe_rule(rule) for rule in rules if not rule.get("passed") and str(rule.get("name")) not in told]


def _window(report: Values) -> str:
    window = report.get("holdout")
    if not window:
        return ""
    return f", on {window.get('rows'):,} rows from {window.get('start')} to {window.get('end')}"


def _looks(holdout: Values) -> list[str]:
    look = holdout.get("look", 1)
    if look == 1:
        return []
    told = ", ".join(f"{use['verdict']} {use['at'][:10]}" for use in holdout.get("ledger", [])[-3:])
    return [f"  model {look} that these rows judge, at {holdout['confidence']:.4g} confidence; before it: {told}"]


def _champion(champion: Values | None) -> str:
    return f"version {champion.get('version')}" if champion else "its baseline: there is no champion yet"


def with_intervals(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Put `auc`, `auc_low` and `auc_high`, as a run logs them, together as a value with its interval."""
    ends = {f"{name}_{end}" for name in metrics for end in ("low", "high")} & set(metrics)
    joined: dict[str, Any] = {}
    for name, value in metrics.items():
        if name in ends:
            continue
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        joined[name] = value if low is None or high is None else {"value": value, "low": low, "high": high}
    return joined


def score(value: Any) -> str:
    """Write a metric: a number, or a value with its interval."""
    if not isinstance(value, Mapping):
        return number(value)
    interval = value.get("interval") or [value.get("low"), value.get("high")]
    text = number(value.get("value"))
    return text if None in interval else f"{text}  [{number(interval[0])}, {number(interval[1])}]"


def number(value: Any) -> str:
    """Write a number with four significant digits, and anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short(digest: Any) -> str:
    """Return the part of a digest that people compare: `sha256:` and twelve digits."""
    return str(digest or "")[:19]
