"""Who is told of what: one AlertmanagerConfig for all receivers of the stack file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.errors import UsageError
from mlplat.manifests import names
from mlplat.spec.kubernetes import ReceiverSpec

NAME = "mlplat"
NOBODY = "nobody"
"""Receiver of what no receiver asked for, such as the alert by which a stack shows that it is alive."""
AGAIN = {"critical": "4h", "warning": "24h", "info": "72h"}
"""After how long somebody is told again of what still lasts."""
STATE = '[{{ .Status | toUpper }}{{ if eq .Status "firing" }} {{ .Alerts.Firing | len }}{{ end }}]'
TITLE = f"{STATE} {{{{ .CommonLabels.alertname }}}}"
BODY = (
    "{{ range .Alerts }}"
    "{{ .Labels.severity }}: {{ .Annotations.summary }}\n{{ .Annotations.description }}\n"
    "{{ with .Annotations.command }}Next: {{ . }}\n{{ end }}"
    "{{ with .Annotations.runbook_url }}{{ . }}\n{{ end }}\n"
    "{{ end }}"
)
Topic = Any
"""ARN of a topic: a text, or an output."""


def document(
    receivers: Mapping[str, ReceiverSpec], *, topic: Topic | None = None, region: str | None = None
) -> dict[str, Any]:
    """Return the routes; `topic` is where a receiver of the kind `sns` that names none is sent, in `region`.

    Raises `UsageError` for such a receiver where there is no topic.
    """
    made = [{"name": NOBODY}]
    made += [_receiver(name, receiver, topic, region) for name, receiver in sorted(receivers.items())]
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": NAME, "namespace": names.NAMESPACE},
        "spec": {"route": _route(receivers), "receivers": made, "inhibitRules": _inhibitions()},
    }


def _route(receivers: Mapping[str, ReceiverSpec]) -> dict[str, Any]:
    routes = [
        _branch(name, severity)
        for name, receiver in sorted(receivers.items())
        for severity in ("critical", "warning", "info")
        if severity in receiver.severities
    ]
    return {
        "receiver": NOBODY,
        # One message for an outage of one endpoint, not one for each of its windows and revisions.
        "groupBy": ["alertname", "endpoint", "in_namespace"],
        "groupWait": "30s",
        "groupInterval": "5m",
        "repeatInterval": AGAIN["warning"],
        "routes": routes,
    }


def _branch(receiver: str, severity: str) -> dict[str, Any]:
    return {
        "receiver": receiver,
        "matchers": [_is("severity", severity)],
        "repeatInterval": AGAIN[severity],
        # The first branch that fits would be the only one: all receivers hear of what they asked for.
        "continue": True,
    }


def _inhibitions() -> list[dict[str, Any]]:
    """Return who is silent while who speaks: of two alerts on one thing people need the graver."""
    return [
        {
            "sourceMatch": [_is("severity", graver)],
            "targetMatch": [_is("severity", milder)],
            "equal": ["alertname", "endpoint", "in_namespace"],
        }
        for graver, milder in (("critical", "warning"), ("critical", "info"), ("warning", "info"))
    ] + [
        # Without a gateway every endpoint fails, and without traffic nothing is known of any.
        {
            "sourceMatch": [_is("alertname", "GatewayDown")],
            "targetMatch": [{"name": "alertname", "matchType": "=~", "value": "Endpoint.+"}],
        }
    ]


def _is(name: str, value: str) -> dict[str, str]:
    return {"name": name, "matchType": "=", "value": value}


def _receiver(name: str, receiver: ReceiverSpec, topic: Topic | None, region: str | None) -> dict[str, Any]:
    match receiver.kind:
        case "slack":
            config = _slack(receiver)
        case "pagerduty":
            config = _pagerduty(receiver)
        case "webhook":
            config = {"urlSecret": _key(receiver, "url"), "sendResolved": True}
        case "sns":
            config = _sns(name, receiver, topic, region)
    return {"name": name, f"{receiver.kind}Configs": [config]}


def _key(receiver: ReceiverSpec, key: str) -> dict[str, str | None]:
    return {"name": receiver.secret, "key": key}


def _slack(receiver: ReceiverSpec) -> dict[str, Any]:
    channel = {"channel": receiver.channel} if receiver.channel else {}
    return {"apiURL": _key(receiver, "url"), **channel, "title": TITLE, "text": BODY, "sendResolved": True}


def _pagerduty(receiver: ReceiverSpec) -> dict[str, Any]:
    return {
        "routingKey": _key(receiver, "key"),
        "severity": "{{ .CommonLabels.severity }}",
        "description": TITLE,
        "details": [{"key": "what", "value": BODY}],
        "sendResolved": True,
    }


def _sns(name: str, receiver: ReceiverSpec, topic: Topic | None, region: str | None) -> dict[str, Any]:
    if receiver.topic:
        topic, region = receiver.topic, receiver.topic.split(":")[3]
    if topic is None:
        raise UsageError(
            f"`kubernetes.monitoring.receivers.{name}.topic` is required: this target makes no topic",
            hint="write the topic's ARN, or use another kind of receiver",
        )
    return {
        "topicARN": topic,
        # Without keys it signs as the pod's own identity, which needs `sns:Publish` on the topic.
        "sigv4": {"region": region} if region else {},
        "subject": TITLE,
        "message": BODY,
        "sendResolved": True,
    }
