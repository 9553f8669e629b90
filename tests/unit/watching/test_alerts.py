"""Every alert fires at what it is for and at nothing near it, and says what a person can use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

import promql
import promtool
import watchspecs
from alertcases import CASES
from mlplat.cli import cli
from mlplat.spec.platform import PlatformSpec
from mlplat.watching import catalogue
from mlplat.watching.rule import Alert, Group

SPECS = {**watchspecs.both(), "here": PlatformSpec()}
FOUND = {
    alert.key: (group, alert)
    for spec in reversed(SPECS.values())
    for group in catalogue.groups(spec)
    for alert in group.alerts
}


@pytest.fixture(params=sorted(CASES))
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("stack", SPECS)
def test_prometheus_takes_the_rules_of_a_stack(stack: str, tmp_path: Path) -> None:
    promtool.check(tmp_path, catalogue.groups(SPECS[stack]))


def test_every_alert_has_a_case_and_every_case_an_alert() -> None:
    others = {key for key in FOUND if key.startswith("TeamOverBudget")} - {"TeamOverBudget flights"}
    assert set(FOUND) - others == set(CASES)


def test_an_alert_fires_with_its_texts_and_is_silent_near_its_fault(key: str, tmp_path: Path) -> None:
    group, alert = FOUND[key]
    promtool.rehearse(tmp_path, group, alert, CASES[key])


@pytest.mark.parametrize("stack", SPECS)
def test_names_tell_alerts_groups_and_records_apart(stack: str) -> None:
    groups = catalogue.groups(SPECS[stack])
    keys = [alert.key for group in groups for alert in group.alerts]
    assert len(keys) == len(set(keys))
    assert len({group.name for group in groups}) == len(groups)


@pytest.mark.parametrize("alert", [alert for _, alert in FOUND.values()], ids=lambda each: each.key)
def test_an_alert_is_written_for_people(alert: Alert) -> None:
    assert re.fullmatch(r"([A-Z][a-z]+)+", alert.name)
    assert len(alert.summary.split()) >= 3
    assert not alert.summary.endswith(".")
    assert alert.description.endswith(".")
    for text in (alert.summary, alert.description, alert.command):
        assert text.count("{{") == text.count("}}") == len(re.findall(r"\{\{ \$(labels\.\w+|value)[^}]* \}\}", text))


@pytest.mark.parametrize("alert", [alert for _, alert in FOUND.values()], ids=lambda each: each.key)
def test_the_next_step_is_a_command_that_exists(alert: Alert) -> None:
    program, *words = shlex.split(re.sub(r"\{\{ [^}]+ \}\}", "x", alert.command))
    assert program in {"mlplat", "kubectl"}
    if program == "mlplat":
        command: click.Command | None = cli
        while isinstance(command, click.Group) and words:
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None


def test_one_fault_in_two_namespaces_is_two_alerts(tmp_path: Path) -> None:
    # Every alert has the label `namespace: mlplat`: without another, two of them would be one, which Prometheus
    # refuses, and nobody would be told of either.
    group, alert = FOUND["ContainerRestarts"]
    series = {
        f'kube_pod_container_status_restarts_total{{namespace="{each}", pod="a", container="main"}}': "0+1x60"
        for each in ("flights", "rides")
    }
    counted = 'count(ALERTS{alertname="ContainerRestarts", alertstate="firing"})'
    wanted = {"expr": counted, "eval_time": "1h", "exp_samples": [{"labels": "{}", "value": 2}]}
    promtool.evaluate(tmp_path, [Group(group.name, (alert,))], series, [wanted])


@pytest.mark.parametrize("alert", [alert for _, alert in FOUND.values()], ids=lambda each: each.key)
def test_what_is_about_a_namespace_says_which(alert: Alert) -> None:
    reading = promql.read(alert.expr)
    if "namespace" in reading.grouped and "in_namespace" not in alert.expr:
        assert "on (namespace" in alert.expr, "its series would have the rule's own namespace"
