"""What the engine tells, in our own words."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.automation.events import EngineEvent

from mlplat.engine.events import DISTURBING, EngineChange, Listener

SERVICE = "mlplat:local:Service"


def step(op: str, kind: str, name: str, fields: tuple[str, ...] = ()) -> dict[str, Any]:
    urn = f"urn:pulumi:local::acme::{kind}::{name}"
    changed = {field: {"diffKind": "update", "inputDiff": True} for field in fields}
    return {"op": op, "urn": urn, "type": kind, "provider": "", "detailedDiff": changed or None, "diffs": None}


def heard(*events: dict[str, Any]) -> tuple[Listener, list[str]]:
    told: list[str] = []
    listener = Listener(told.append)
    for event in events:
        listener(EngineEvent.from_json({"sequence": 1, "timestamp": 1, **event}))
    return listener, told


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        (("program.argv[4]", "live.a"), "restart"),
        (("running", "program.env"), "start"),
        (("live.settings",), "update"),
        (("files.a",), "restart"),
    ],
)
def test_a_change_of_a_service_says_what_becomes_of_its_process(fields: tuple[str, ...], action: str) -> None:
    listener, _ = heard({"resourcePreEvent": {"metadata": step("update", SERVICE, "gateway", fields)}})
    assert listener.changes == [EngineChange(action, "service", "gateway", tuple(sorted(fields)))]
    assert (action in DISTURBING) == (action == "restart")


def test_what_stays_and_what_nobody_asked_for_is_not_shown() -> None:
    steps = [
        step("same", SERVICE, "gateway"),
        step("create", "pulumi:pulumi:Stack", "s"),
        step("create", "pulumi:providers:mlplat", "p"),
    ]
    listener, told = heard(*({"resourcePreEvent": {"metadata": each}} for each in steps))
    assert (listener.changes, told) == ([], [])


def test_an_error_is_kept_once_without_its_colours() -> None:
    said = {"message": "<{%fg 1%}>port 1 is taken\nhint: free it<{%reset%}>\n", "color": "raw", "severity": "error"}
    listener, told = heard({"diagnosticEvent": said}, {"diagnosticEvent": said})
    assert (listener.errors, told) == (["port 1 is taken\nhint: free it"], [])


def test_progress_is_told_and_a_finding_is_kept() -> None:
    said = {"message": "tracking: waits", "color": "raw", "severity": "info", "ephemeral": True}
    found = {"message": "gateway: does not run", "color": "raw", "severity": "info"}
    listener, told = heard({"diagnosticEvent": said}, {"diagnosticEvent": found})
    assert told == ["tracking: waits", "gateway: does not run"]
    assert listener.seen == ["gateway: does not run"]
