"""Endpoints and rollouts: what callers get, and what became of a wish."""

from __future__ import annotations

from mlplat.watching import gateway
from mlplat.watching.rule import Alert, Group, copied

SHOW = "mlplat endpoint show {{ $labels.endpoint }}"
HISTORY = "mlplat rollout history {{ $labels.endpoint }}"
BREACHED, INCONCLUSIVE, DEPLOY_FAILED = "RolloutBreached", "RolloutInconclusive", "DeployFailed"
MODEL_ALARM, RETRAINING_FAILED, SCHEDULE_FAILED = "ModelAlarm", "RetrainingFailed", "ScheduledRunFailed"
"""Alerts that the controller tells of itself where no Prometheus is."""
LEAST_RATE = 1 / 60
"""Requests a second on the day before, below which an hour without any means nothing."""


def phase(phases: str) -> str:
    """Return the endpoints that are in one of these phases.

    Scraped without `honorLabels`, the label `endpoint` is the port's name, and ours has become `exported_endpoint`.
    """
    found = copied(f'mlplat_endpoint_phase{{phase=~"{phases}"}}', "exported_endpoint", "endpoint")
    return f"max by (endpoint, phase) ({found}) == 1"


def group(*, has_gateway: bool) -> Group:
    """Return the alerts of endpoints, beside those on their objectives."""
    rollouts = (_breached(), _inconclusive(), _failed(), _stuck(), _monitored(), _retrained())
    return Group("endpoints", (*([_silent()] if has_gateway else []), *rollouts, _dropped(), _late(), _unknown()))


def schedules() -> Group:
    """Return the alert of flows that run by a schedule where the controller begins them: on one computer."""
    failed = Alert(
        SCHEDULE_FAILED,
        "max by (project, flow) (mlplat_schedule_failed) == 1",
        "warning",
        "{{ $labels.project }}: the newest scheduled run of {{ $labels.flow }} failed",
        "It failed, or what was published could not be read. Its next time is tried all the same, and ends this alert"
        " if it goes well.",
        "mlplat run list",
    )
    return Group("schedules", (failed,))


def _silent() -> Alert:
    before = f"avg_over_time({gateway.REQUESTS}[1h] offset 1d)"
    return Alert(
        "EndpointWithoutTraffic",
        f"max_over_time({gateway.REQUESTS}[30m]) == 0 and {before} > {LEAST_RATE:.4f}",
        "warning",
        "{{ $labels.endpoint }}: no request for 30 minutes",
        "At this time yesterday it was asked at least once a minute. Its callers may have lost the address, the key or"
        " the network to it, or have ended.",
        "mlplat predict {{ $labels.endpoint }} --example",
        hold="10m",
    )


def _breached() -> Alert:
    return Alert(
        BREACHED,
        phase("breached"),
        "warning",
        "{{ $labels.endpoint }}: the new version failed more, or was slower, and gets no traffic",
        "The version from before answers everything. The new one is kept for diagnosis until something else is"
        " deployed, which also ends this alert.",
        HISTORY,
    )


def _inconclusive() -> Alert:
    return Alert(
        INCONCLUSIVE,
        phase("inconclusive"),
        "warning",
        "{{ $labels.endpoint }}: the rollout ended undecided, and the new version gets no traffic",
        "There were too few requests to judge it by within the step's time. Give it more traffic, a longer"
        " `step_timeout_seconds`, or promote it by hand.",
        HISTORY,
    )


def _failed() -> Alert:
    return Alert(
        DEPLOY_FAILED,
        phase("failed|refused"),
        "warning",
        "{{ $labels.endpoint }}: the deployed version is {{ $labels.phase }}",
        "It could not be fetched or started, did not answer its own example, or its gate did not let it pass. Whatever"
        " served before still does.",
        SHOW,
    )


def _stuck() -> Alert:
    return Alert(
        "DeployStuck",
        phase("resolving|fetching|starting|testing"),
        "warning",
        "{{ $labels.endpoint }}: {{ $labels.phase }} for more than 20 minutes",
        "A node may be missing for its pod, the registry or the bucket may not answer. Whatever served before still"
        " does.",
        SHOW,
        hold="20m",
    )


def _monitored() -> Alert:
    found = copied("mlplat_endpoint_alarm", "exported_endpoint", "endpoint")
    return Alert(
        MODEL_ALARM,
        f"max by (endpoint, kind) ({found}) == 1",
        "warning",
        "{{ $labels.endpoint }}: its monitor raises an alarm of {{ $labels.kind }}",
        "What the model is asked, or how well it answers, is no longer as it was when it was trained. The report says"
        " in which columns and windows; `retraining.on` in mlplat.yaml has the platform train it anew by itself.",
        "mlplat open drift",
    )


def _retrained() -> Alert:
    found = copied("mlplat_endpoint_retraining_failed", "exported_endpoint", "endpoint")
    return Alert(
        RETRAINING_FAILED,
        f"max by (endpoint) ({found}) == 1",
        "warning",
        "{{ $labels.endpoint }}: the newest retraining failed, or could not be begun",
        "The version from before goes on serving. The history says why: nothing may be published, or a step has failed."
        " A retraining that ends well also ends this alert; one that the gate refuses is no failure.",
        HISTORY,
    )


def _dropped() -> Alert:
    return Alert(
        "PredictionLogDrops",
        'sum by (endpoint, revision) (increase(mlplat_prediction_log_rows_total{outcome="dropped", revision!=""}[30m]))'
        " > 0",
        "warning",
        "{{ $labels.endpoint }} {{ $labels.revision }}: {{ $value | humanize }} rows are missing from the prediction"
        " log",
        "Answers are not held up by the log: what could not be written in time, or at all, is gone. Monitoring of the"
        " model rests on fewer rows than it should. Usually the disk is full or slow.",
        SHOW,
        hold="5m",
    )


def _late() -> Alert:
    every = 'sum by (endpoint, revision) (rate(mlplat_requests_total{revision!=""}[5m]))'
    late = 'sum by (endpoint, revision) (rate(mlplat_not_begun_total{reason="deadline", revision!=""}[5m]))'
    return Alert(
        "ModelServerOverloaded",
        f"{late} / {every} > 0.01",
        "warning",
        "{{ $labels.endpoint }} {{ $labels.revision }}: {{ $value | humanizePercentage }} of the requests wait too long"
        " to be computed",
        "More is asked than its replicas can answer: raise `scale.max`, or find who asks so much.",
        SHOW,
        hold="10m",
    )


def _unknown() -> Alert:
    labels = "endpoint, revision, group"
    every = f'sum by ({labels}) (rate(mlplat_lookups_total{{revision!=""}}[15m]))'
    unknown = f'sum by ({labels}) (rate(mlplat_lookups_total{{outcome=~"stale|absent", revision!=""}}[15m]))'
    return Alert(
        "FeaturesUnknown",
        f"{unknown} / {every} > 0.5",
        "warning",
        "{{ $labels.endpoint }} {{ $labels.revision }}: {{ $value | humanizePercentage }} of the rows are answered"
        " without `{{ $labels.group }}`",
        "Its values were not found, or are older than `ttl_minutes` allows: the model was asked with nulls in their"
        " place. Usually whatever pushes them has stopped, or is behind.",
        "mlplat status",
        hold="10m",
    )
