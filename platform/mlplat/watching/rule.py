"""Rules as values: what Prometheus records, and what it tells people of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlplat.manifests import names

Severity = Literal["critical", "warning", "info"]
"""`critical` wakes somebody, `warning` is for the next working day, `info` is for whoever looks."""


@dataclass(frozen=True)
class Recording:
    """An expression whose value is kept under a name of its own."""

    record: str
    expr: str

    def document(self) -> dict[str, Any]:
        """Return the rule as Prometheus reads it."""
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True)
class Alert:
    """An expression that should give nothing; every series it gives is told of.

    Texts may hold Prometheus's templates, such as `{{ $labels.endpoint }}`.
    """

    name: str
    expr: str
    severity: Severity
    summary: str
    """What is wrong, in one line."""
    description: str
    """What follows from it, and what it comes of."""
    command: str
    """What to run next."""
    hold: str = "0s"
    """For how long it must be so without a break."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels, which tell alerts of one name apart."""

    @property
    def key(self) -> str:
        """Return what tells it from all others: its name and what its labels add."""
        return " ".join([self.name, *self.labels.values()])

    def document(self, runbooks: str | None) -> dict[str, Any]:
        """Return the rule as Prometheus reads it, with a link to its runbook below an address, or in the repository."""
        annotations = {
            "summary": self.summary,
            "description": self.description,
            "command": self.command,
            "runbook_url": f"{runbooks or PAGE}#{anchor(self.name)}",
        }
        # An AlertmanagerConfig takes only alerts of its own namespace, unless Alertmanager's owner said otherwise: on a
        # cluster where monitoring is somebody else's, nobody would be told of anything. Where a series is from stands
        # in its label `in_namespace`.
        labels = {"severity": self.severity, "namespace": names.NAMESPACE, **self.labels}
        return {"alert": self.name, "expr": self.expr, "for": self.hold, "labels": labels, "annotations": annotations}


PAGE = "docs/reference/alerts.md"
"""Where every alert is explained, in mlplat's repository."""


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, at one time."""

    name: str
    rules: tuple[Recording | Alert, ...]
    interval_seconds: int = 60

    def document(self, runbooks: str | None) -> dict[str, Any]:
        """Return the group as Prometheus reads it."""
        made = [each.document(runbooks) if isinstance(each, Alert) else each.document() for each in self.rules]
        return {"name": f"mlplat-{self.name}", "interval": f"{self.interval_seconds}s", "rules": made}

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Return the rules that people are told of."""
        return tuple(each for each in self.rules if isinstance(each, Alert))


def anchor(name: str) -> str:
    """Return the anchor of an alert's heading on the page of alerts, as Markdown's renderers make it."""
    return name.lower()


def in_namespace(expr: str) -> str:
    """Add the label `in_namespace`: the one that a series is about.

    Scraped without `honorLabels`, a series' own `namespace` is renamed by Prometheus, in favour of the scraped pod's.
    Which add-on's chart does what is a setting of theirs that changes; this reads either.
    """
    return copied(copied(expr, "namespace", "in_namespace"), "exported_namespace", "in_namespace")


def copied(expr: str, source: str, target: str) -> str:
    """Copy a label to another, where there is one."""
    return f'label_replace({expr}, "{target}", "$1", "{source}", "(.+)")'
