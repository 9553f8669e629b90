"""Who is to be told of what, where no Prometheus is: the alerts whose cause the controller itself knows.

They have the names and texts of the rules (`mlplat.watching`), so that an alert means the same on every target. What is
true at the moment is a pure function; what began and what ended follows from what was true before.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from mlplat.controller.document import Endpoint
from mlplat.controller.triggers import Alarm
from mlplat.labels import Name
from mlplat.spec.platform import PlatformSpec
from mlplat.watching import local
from mlplat.watching.alerts import endpoints as rules
from mlplat.watching.rule import Alert

OF_PHASE = {
    "breached": rules.BREACHED,
    "inconclusive": rules.INCONCLUSIVE,
    "failed": rules.DEPLOY_FAILED,
    "refused": rules.DEPLOY_FAILED,
}
"""Alert by the phase that an endpoint is in."""
_LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
NEVER = "0001-01-01T00:00:00Z"
"""When an alert ended that has not, as Alertmanager writes it."""
KEY_SIGNS = 16


class Known(BaseModel):
    """An alert that was raised."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: dict[str, str]
    """`alertname`, `severity`, and what it is about."""
    annotations: dict[str, str]
    since: AwareDatetime
    """By the platform's clock."""
    is_sent: bool = False
    """Whether a message of it was put into the post."""

    @property
    def key(self) -> str:
        """What tells it from others', for as long as it lasts and when it comes again."""
        return key(self.labels)

    @property
    def name(self) -> str:
        """What people know it by: `ModelAlarm flights/late drift`."""
        return " ".join(value for name, value in self.labels.items() if name != "severity")

    def __str__(self) -> str:
        said = self.annotations.get("message")
        return f"{self.annotations['summary']}{f': {said}' if said else ''}"


@dataclass(frozen=True)
class Seen:
    """What the controller knows."""

    endpoints: Iterable[Endpoint]
    alarms: Mapping[Name, Iterable[Alarm]]
    """Of endpoints' monitors; one that is not here is not known."""
    retrainings: Mapping[Name, str]
    """Why the newest one failed, by endpoint."""
    schedules: Mapping[tuple[str, str], str]
    """Why what ran by its schedule failed, by project and flow."""


def key(labels: Mapping[str, str]) -> str:
    """Return the fingerprint of an alert's labels."""
    return hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:KEY_SIGNS]


def present(seen: Seen, before: Mapping[str, Known], now: AwareDatetime) -> dict[str, Known]:
    """Return the alerts that last, by key: those of before as they were, but for their text.

    What an endpoint's monitor said before stays until it is known what it says now.
    """
    made = []
    for endpoint in seen.endpoints:
        about = {"endpoint": str(endpoint.name)}
        phase, name = endpoint.status.phase, endpoint.name
        if alert := OF_PHASE.get(phase):
            made.append(_known(alert, {**about, "phase": phase}, endpoint.status.message, now))
        made += [
            _known(rules.MODEL_ALARM, {**about, "kind": each.kind}, each.message, now)
            for each in seen.alarms.get(name, ())
        ]
        if name not in seen.alarms:
            made += [each for each in before.values() if _is_alarm_of(each, name)]
        if why := seen.retrainings.get(name):
            made.append(_known(rules.RETRAINING_FAILED, about, why, now))
    for (project, flow), why in seen.schedules.items():
        made.append(_known(rules.SCHEDULE_FAILED, {"project": project, "flow": flow}, why, now))
    return {each.key: _as_before(each, before.get(each.key)) for each in made}


def message(known: Known, ended: AwareDatetime | None) -> dict[str, Any]:
    """Return the message that an alert begins, or has ended: Alertmanager's for webhooks, version 4."""
    status = "resolved" if ended else "firing"
    group = {name: known.labels[name] for name in ("alertname", "endpoint") if name in known.labels}
    alert = {
        "status": status,
        "labels": known.labels,
        "annotations": known.annotations,
        "startsAt": known.since.isoformat(),
        "endsAt": ended.isoformat() if ended else NEVER,
        "generatorURL": "",
        "fingerprint": known.key,
    }
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{', '.join(f'{name}={json.dumps(value)}' for name, value in group.items())}}}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "webhook",
        "groupLabels": group,
        "commonLabels": known.labels,
        "commonAnnotations": known.annotations,
        "externalURL": "",
        "alerts": [alert],
    }


def _known(name: str, about: Mapping[str, str], said: str, now: AwareDatetime) -> Known:
    alert = _rules()[name]
    texts = {"summary": alert.summary, "description": alert.description, "command": alert.command}
    filled = {which: _LABEL.sub(lambda found: about.get(found[1], ""), text) for which, text in texts.items()}
    labels = {"alertname": name, "severity": alert.severity, **about}
    return Known(labels=labels, annotations={**filled, **({"message": said} if said else {})}, since=now)


@functools.cache
def _rules() -> dict[str, Alert]:
    return {alert.name: alert for group in local.groups(PlatformSpec()) for alert in group.alerts}


def _is_alarm_of(known: Known, name: Name) -> bool:
    return (known.labels["alertname"], known.labels.get("endpoint")) == (rules.MODEL_ALARM, str(name))


def _as_before(found: Known, before: Known | None) -> Known:
    return found.model_copy(update={"since": before.since, "is_sent": before.is_sent}) if before else found
