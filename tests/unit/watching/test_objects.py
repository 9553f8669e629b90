"""What Prometheus, Alertmanager and Grafana are told fits what they read, and what a stack has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import crds
import promtool
import watchspecs
from mlplat import watching
from mlplat.errors import UsageError
from mlplat.manifests import names
from mlplat.watching import monitors
from mlplat.watching.rule import Group, Recording

SPECS = watchspecs.both()
CONFIG_MAP_LIMIT = 1024 * 1024


def documents(stack: str) -> list[dict[str, Any]]:
    return watching.documents(SPECS[stack], topic=watchspecs.TOPIC)


def of_kind(made: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in made if each["kind"] == kind]


@pytest.mark.parametrize("stack", SPECS)
def test_every_custom_resource_fits_its_definition(stack: str) -> None:
    custom = [each for each in documents(stack) if each["kind"] != "ConfigMap"]
    assert {each["kind"] for each in custom} == {"PrometheusRule", "PodMonitor", "AlertmanagerConfig"}
    assert [problem for each in custom for problem in crds.problems(each)] == []


@pytest.mark.parametrize("stack", SPECS)
def test_the_same_stack_gives_the_same_documents(stack: str) -> None:
    first, second = documents(stack), documents(stack)
    assert json.dumps(first) == json.dumps(second)
    keys = [(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]) for each in first]
    assert len(keys) == len(set(keys))


def test_without_monitoring_there_is_nothing() -> None:
    assert watching.documents(watchspecs.cluster(addons={"monitoring": "off", "cost": "off"})) == []


def test_a_prometheus_of_somebody_else_finds_what_is_labelled_for_it() -> None:
    monitoring = {"labels": {"release": "theirs"}, "prometheus": "http://theirs.example.com"}
    spec = watchspecs.cluster(addons={"monitoring": "adopt"}, monitoring=monitoring)
    for each in watching.documents(spec):
        assert (each["metadata"]["labels"].get("release") == "theirs") is (each["kind"] != "ConfigMap")


@pytest.mark.parametrize("stack", SPECS)
def test_every_alert_has_a_namespace_that_alertmanager_s_configurations_ask_for(stack: str) -> None:
    rules = [
        rule
        for each in of_kind(documents(stack), "PrometheusRule")
        for group in each["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    assert rules
    assert {rule["labels"]["namespace"] for rule in rules} == {names.NAMESPACE}
    assert all(rule["annotations"]["runbook_url"].endswith(f"#{rule['alert'].lower()}") for rule in rules)


def test_runbooks_are_linked_where_they_are_published() -> None:
    spec = watchspecs.cluster(monitoring={"runbooks": "https://docs.example.com/alerts"})
    text = json.dumps(watching.documents(spec))
    assert "https://docs.example.com/alerts#nodenotready" in text
    assert "docs/reference/alerts.md" not in text


def routes(**monitoring: Any) -> dict[str, Any]:
    spec = watchspecs.cluster(monitoring=monitoring) if monitoring else SPECS["cluster"]
    (config,) = of_kind(watching.documents(spec), "AlertmanagerConfig")
    return dict(config["spec"])


def test_a_receiver_hears_of_what_it_asked_for_and_nobody_of_the_rest() -> None:
    route = routes()["route"]
    asked = {(each["receiver"], each["matchers"][0]["value"]) for each in route["routes"]}
    assert asked == {
        *(("chat", each) for each in ("critical", "warning")),
        *(("mail", each) for each in ("critical", "warning")),
        ("duty", "critical"),
        ("ours", "info"),
    }
    assert all(each["continue"] for each in route["routes"]), "the first one would be the only one"
    assert route["receiver"] == "nobody"
    (nobody,) = [each for each in routes()["receivers"] if each["name"] == "nobody"]
    assert set(nobody) == {"name"}


def test_addresses_and_keys_are_references() -> None:
    receivers = {each["name"]: each for each in routes()["receivers"]}
    assert receivers["chat"]["slackConfigs"][0]["apiURL"] == {"name": "chat", "key": "url"}
    assert receivers["duty"]["pagerdutyConfigs"][0]["routingKey"] == {"name": "duty", "key": "key"}
    assert receivers["ours"]["webhookConfigs"][0]["urlSecret"] == {"name": "hook", "key": "url"}


def test_a_topic_is_signed_for_in_its_own_region() -> None:
    (config,) = [each for each in routes()["receivers"] if each["name"] == "mail"]
    (sns,) = config["snsConfigs"]
    assert sns["topicARN"] == watchspecs.TOPIC
    assert sns["sigv4"] == {"region": "eu-west-1"}


def test_the_account_s_own_topic_is_taken_where_none_is_named() -> None:
    receivers = {"mail": {"kind": "sns"}}
    with pytest.raises(UsageError, match=r"kubernetes.monitoring.receivers.mail.topic"):
        routes(receivers=receivers)
    spec = watchspecs.cluster(monitoring={"receivers": receivers})
    (config,) = of_kind(watching.documents(spec, topic="an output"), "AlertmanagerConfig")
    assert config["spec"]["receivers"][1]["snsConfigs"][0]["topicARN"] == "an output"


def test_labels_that_silence_an_alert_are_labels_of_alerts() -> None:
    for rule in routes()["inhibitRules"]:
        assert set(rule.get("equal", [])) <= {"alertname", "endpoint", "in_namespace"}
    (gateway,) = [each for each in routes()["inhibitRules"] if "equal" not in each]
    assert gateway["sourceMatch"][0]["value"] == "GatewayDown"


def test_model_servers_are_looked_for_in_every_team_and_named_by_their_pods() -> None:
    (monitor,) = [each for each in documents("cluster") if each["metadata"]["name"] == monitors.SERVING]
    assert monitor["spec"]["namespaceSelector"]["matchNames"] == ["flights", "rides"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    # The operator writes label `a/b-c` of a pod as `a_b_c`.
    written = {label.replace("/", "_").replace("-", "_") for label in (names.PROJECT, names.ENDPOINT, names.REVISION)}
    sources = {source for each in endpoint["relabelings"] for source in each["sourceLabels"]}
    assert sources == {f"__meta_kubernetes_pod_label_{each}" for each in written}


def boards(stack: str) -> Iterator[dict[str, Any]]:
    for each in of_kind(documents(stack), "ConfigMap"):
        ((file, text),) = each["data"].items()
        assert len(text) < CONFIG_MAP_LIMIT // 4, "all of them together have to fit as well"
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        board = json.loads(text)
        assert file == f"{board['uid']}.json"
        yield board


@pytest.mark.parametrize("stack", SPECS)
def test_grafana_finds_what_a_page_needs(stack: str) -> None:
    made = list(boards(stack))
    assert {each["uid"] for each in made} == {
        f"mlplat-{each}" for each in ("platform", "endpoint", "rollout", "gpu", "cost")
    }
    for board in made:
        assert len(board["uid"]) <= 40
        assert board["title"]
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        variables = [each["name"] for each in board["templating"]["list"]]
        assert variables[0] == "datasource"
        text = json.dumps(board["panels"])
        chosen = [each for each in variables[1:] if f"${each}" not in text]
        assert chosen == [], f"{board['uid']}: nothing depends on what is chosen"


@pytest.mark.parametrize("stack", SPECS)
def test_panels_lie_beside_each_other(stack: str) -> None:
    for board in boards(stack):
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            fields = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert place["x"] + place["w"] <= 24
            assert not taken & fields, f"{board['uid']}: {panel['title']} lies on another"
            taken |= fields


@pytest.mark.parametrize("stack", SPECS)
def test_panels_ask_something_and_name_variables_that_there_are(stack: str) -> None:
    for board in boards(stack):
        variables = {each["name"] for each in board["templating"]["list"]} | {"__rate_interval"}
        for panel in board["panels"]:
            if panel["type"] == "row":
                continue
            assert panel["targets"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            for target in panel["targets"]:
                assert target["datasource"]["uid"] == "${datasource}"
                named = {
                    part.strip("{").split('"')[0].split("}")[0].split("|")[0] for part in target["expr"].split("$")[1:]
                }
                assert {each.split("]")[0] for each in named} - {"1"} <= variables


@pytest.mark.parametrize("stack", SPECS)
def test_prometheus_understands_what_panels_ask(stack: str, tmp_path: Path) -> None:
    asked = [
        target["expr"].replace("$__rate_interval", "5m").replace("$", "")
        for board in boards(stack)
        for panel in [*board["panels"], *({"targets": [each]} for each in board["annotations"]["list"])]
        for target in panel.get("targets", [])
    ]
    # promtool reads expressions in rules only.
    rules = tuple(Recording(f"panel:{number}", expr) for number, expr in enumerate(asked))
    promtool.check(tmp_path, [Group("panels", rules)])
    assert len(rules) > 50
