from __future__ import annotations

import json
from typing import Any

import pytest

import capture
from allowed import allowed
from awsparts import KEY, site, statements, untagged
from capture import Graph
from mlplat.errors import SpecError
from mlplat.spec.base import parse
from mlplat.spec.capacity import CostSpec, TeamSpec
from mlplat.targets.aws.keypolicies import PUBLISHERS
from mlplat.targets.aws.site import TAG
from mlplat.targets.aws.spend import Spend, amount, specification, team_tag

BUDGET = "aws:budgets/budget:Budget"
TOPIC = "${aws:sns/topic:Topic::alerts.arn}"
PEOPLE = ["ml@example.com", "finance@example.com"]


def build(teams: dict[str, float | None] | None = None, **settings: Any) -> Graph:
    def program() -> None:
        spec = parse(CostSpec, settings, "a test")
        made = {name: TeamSpec(monthly_usd=usd) for name, usd in (teams or {}).items()}
        Spend("spend", spec, site=site(), teams=made, key_arn=KEY, opts=capture.provider())

    return capture.run(program)


def test_a_budget_counts_the_deployment_alone_and_says_each_part_of_it() -> None:
    made = build(budget_usd=600.0, emails=PEOPLE, alert_percent=[50, 90], forecast_percent=[100]).one(BUDGET).inputs
    assert (made["limitAmount"], made["limitUnit"], made["timeUnit"]) == ("600", "USD", "MONTHLY")
    assert made["costFilters"] == [{"name": "TagKeyValue", "values": [f"user:{TAG}$0123456789abcdef"]}]
    said = [(each["notificationType"], each["threshold"]) for each in made["notifications"]]
    assert said == [("ACTUAL", 50), ("ACTUAL", 90), ("FORECASTED", 100)]
    for each in made["notifications"]:
        assert each["subscriberSnsTopicArns"] == [TOPIC]
        assert (each["comparisonOperator"], each["thresholdType"]) == ("GREATER_THAN", "PERCENTAGE")


def test_the_last_alert_reaches_people_who_confirmed_nothing() -> None:
    made = build(budget_usd=600.0, emails=PEOPLE).one(BUDGET).inputs["notifications"]
    straight = {
        (each["notificationType"], each["threshold"]) for each in made if each["subscriberEmailAddresses"] == PEOPLE
    }
    assert straight == {("ACTUAL", 100)}


def test_a_team_s_budget_counts_the_team_of_this_deployment() -> None:
    graph = build({"flights": 4000.0, "rail": None}, emails=PEOPLE)
    made = graph.one(BUDGET).inputs
    assert made["limitAmount"] == "4000"
    assert made["costFilters"][0]["values"] == [f"user:mlplat:team${team_tag(site(), 'flights')}"]
    assert team_tag(site(), "flights") == "mlplat-dev-012345/flights"


def test_a_budget_that_nobody_hears_of_is_refused() -> None:
    with pytest.raises(SpecError, match="emails"):
        parse(CostSpec, {"budget_usd": 10.0}, "a test")


@pytest.mark.parametrize(("alerts", "forecasts", "fits"), [(3, 2, True), (4, 2, False), (6, 0, False)])
def test_more_alerts_than_aws_takes_are_refused(alerts: int, forecasts: int, fits: bool) -> None:
    written = {"alert_percent": list(range(1, 1 + alerts)), "forecast_percent": list(range(1, 1 + forecasts))}
    if fits:
        parse(CostSpec, written, "a test")
    else:
        with pytest.raises(SpecError, match="forecast_percent"):
            parse(CostSpec, written, "a test")


def test_no_budget_and_no_search_are_made_unless_asked_for() -> None:
    graph = build(anomaly_usd=None)
    assert not graph.of(BUDGET)
    assert not graph.of("aws:costexplorer/")


def test_unusual_cost_is_searched_in_what_is_ours_and_said_at_once() -> None:
    graph = build(anomaly_usd=50.0)
    monitor = graph.one("aws:costexplorer/anomalyMonitor:AnomalyMonitor").inputs
    # The other kind is limited to one an account.
    assert monitor["monitorType"] == "CUSTOM"
    assert monitor["monitorSpecification"] == specification(TAG, "0123456789abcdef")
    told = graph.one("aws:costexplorer/anomalySubscription:AnomalySubscription").inputs
    assert told["subscribers"] == [{"type": "SNS", "address": TOPIC}]
    assert told["frequency"] == "IMMEDIATE"
    assert told["thresholdExpression"]["dimension"]["values"] == ["50"]


@pytest.mark.parametrize("service", PUBLISHERS)
def test_what_publishes_may_do_so_for_this_account_and_over_tls_only(service: str) -> None:
    graph = build(emails=PEOPLE)
    assert graph.one("aws:sns/topic:Topic").inputs["kmsMasterKeyId"] == KEY
    found = statements(graph.one("aws:sns/topicPolicy:TopicPolicy"))
    asked = [each for each in found if f"{service}.amazonaws.com" in each["Principal"].get("Service", [])]
    request = {"aws:SourceAccount": "111122223333", "aws:SecureTransport": "true"}
    assert allowed(asked, "sns:Publish", TOPIC, request)
    assert not allowed(asked, "sns:Publish", TOPIC, {**request, "aws:SourceAccount": "999999999999"})
    assert not allowed(found, "sns:Publish", TOPIC, {**request, "aws:SecureTransport": "false"})


def test_a_topic_s_policy_names_actions_of_topics_only() -> None:
    # SNS refuses any other, `*` too.
    (document,) = build().of("aws:sns/topicPolicy:TopicPolicy")
    assert {action for each in statements(document) for action in each["Action"]} == {"sns:Publish"}


def test_everybody_who_is_told_has_a_subscription() -> None:
    made = build(emails=PEOPLE).of("aws:sns/topicSubscription:TopicSubscription")
    told = {(each.inputs["protocol"], each.inputs["endpoint"]) for each in made}
    assert told == {("email", one) for one in PEOPLE}


def test_tags_are_switched_on_when_asked_for_and_never_off_again() -> None:
    tag = "aws:costexplorer/costAllocationTag:CostAllocationTag"
    assert not build().of(tag)
    made = build(activate_tags=True).of(tag)
    assert {each.inputs["tagKey"] for each in made} == {TAG, "mlplat:team"}
    for each in made:
        assert each.inputs["status"] == "Active"
        assert each.retain_on_delete


@pytest.mark.parametrize(("usd", "text"), [(600.0, "600"), (0.5, "0.50"), (1e6, "1000000"), (33.333, "33.33")])
def test_money_is_written_as_aws_writes_it(usd: float, text: str) -> None:
    assert amount(usd) == text


def test_everything_is_tagged_and_what_a_monitor_looks_at_is_json() -> None:
    assert untagged(build({"flights": 1.0}, budget_usd=1.0, emails=PEOPLE)) == []
    assert json.loads(specification("a", "b"))["Tags"] == {"Key": "a", "Values": ["b"], "MatchOptions": ["EQUALS"]}
