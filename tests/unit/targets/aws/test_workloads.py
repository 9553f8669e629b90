from __future__ import annotations

import json
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from allowed import allowed
from awsparts import KEY, platform, site
from mlplat.contracts import PREDICTIONS
from mlplat.errors import UsageError
from mlplat.spec.kubernetes import KubernetesSpec, MonitoringSpec, ReceiverSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import grants
from mlplat.targets.aws.grants import Wiring
from mlplat.targets.aws.iam import document
from mlplat.targets.aws.online import live_table, table_prefix
from mlplat.targets.aws.workloads import RESERVED, TEAM_WORKLOADS, Workload, workloads

DATABASE_KEY = KEY.replace("0000/", "1111/") + "-database"
STREAM = "arn:aws:kinesis:eu-west-1:111122223333:stream/events"
MASTER = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:rds!db-1"
TOPIC = "arn:aws:sns:eu-west-1:111122223333:alerts"
THEIRS = "arn:aws:sns:eu-west-1:444455556666:on-call"
ALERTS_KEY = KEY.replace("0000/", "2222/") + "-logs"
TRACKING = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:mlplat/x/database/tracking-abc"
INLINE_LIMIT = 6_144
TEAMS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?", fullmatch=True).filter(lambda name: name not in RESERVED)


def wiring(online: str = "dynamodb", stream: str | None = STREAM) -> Wiring:
    buckets = {kind: f"arn:aws:s3:::{kind}" for kind in grants.TEAM_BUCKETS}
    return Wiring(site(), buckets, KEY, DATABASE_KEY, MASTER, [TRACKING], online, stream, TOPIC, ALERTS_KEY)


def of(spec: PlatformSpec, online: str = "dynamodb", stream: str | None = STREAM) -> dict[str, Workload]:
    return {each.key: each for each in workloads(spec, wiring(online, stream))}


def may(workload: Workload, action: str, resource: str, **context: str | list[str]) -> bool:
    keys = {key.replace("__", ":", 1): value for key, value in context.items()}
    return allowed([each.value() for each in workload.statements], action, resource, keys)


def table(name: str) -> str:
    return f"arn:aws:dynamodb:eu-west-1:111122223333:table/{name}"


@settings(deadline=None, max_examples=40)
@given(TEAMS, TEAMS, st.sampled_from(grants.TEAM_BUCKETS), st.sampled_from(TEAM_WORKLOADS), st.text(max_size=20))
@example("flights", "flights-eu", "data", "pipeline", "x")
@example("flights-eu", "flights", "data", "pipeline", "x")
def test_no_team_reads_lists_or_writes_what_is_another_s(own: str, other: str, kind: str, name: str, rest: str) -> None:
    assume(own != other)
    workload = of(platform({own: {}, other: {}}))[f"{own}-{name}"]
    bucket = f"arn:aws:s3:::{kind}"
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectVersion", "s3:PutObjectAcl"):
        assert not may(workload, action, f"{bucket}/{other}/{rest}")
    for listed in (other, f"{other}/", f"{other}/{rest}", "", own):
        assert not may(workload, "s3:ListBucket", bucket, s3__prefix=listed)
    assert not may(workload, "s3:ListBucket", bucket)
    for action in (*grants.READ_ITEMS, *grants.WRITE_ITEMS):
        for keys in ([f"{other}/{rest}"], [f"{own}/1", f"{other}/{rest}"]):
            assert not may(workload, action, table(live_table(site())), dynamodb__LeadingKeys=keys)
    assert not may(workload, "dynamodb:Scan", table(live_table(site())))


@settings(deadline=None, max_examples=20)
@given(TEAMS, st.sampled_from(grants.TEAM_BUCKETS))
def test_a_team_s_pipelines_do_read_list_and_write_what_is_the_team_s(own: str, kind: str) -> None:
    workload = of(platform({own: {}}))[f"{own}-pipeline"]
    bucket = f"arn:aws:s3:::{kind}"
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
        assert may(workload, action, f"{bucket}/{own}/train/part-0")
    for listed in (f"{own}/", f"{own}/train"):
        assert may(workload, "s3:ListBucket", bucket, s3__prefix=listed)
    assert may(workload, "dynamodb:PutItem", table(live_table(site())), dynamodb__LeadingKeys=[f"{own}/delay/1"])


def test_a_team_s_servers_read_models_and_features_and_only_add_predictions() -> None:
    workload = of(platform({"flights": {"projects": ["delay"]}}))["flights-serving"]
    for kind in ("artifacts", "features"):
        assert may(workload, "s3:GetObject", f"arn:aws:s3:::{kind}/flights/model")
        assert not may(workload, "s3:PutObject", f"arn:aws:s3:::{kind}/flights/model")
    log = f"arn:aws:s3:::data/flights/{PREDICTIONS}/part-0"
    assert may(workload, "s3:PutObject", log)
    for action in ("s3:GetObject", "s3:DeleteObject"):
        assert not may(workload, action, log)
    assert not may(workload, "s3:PutObject", "arn:aws:s3:::data/flights/train/part-0")


def test_the_controller_clears_old_predictions_and_reads_none() -> None:
    workload = of(platform({"flights": {}}))["controller"]
    log = f"arn:aws:s3:::data/flights/{PREDICTIONS}/flights.late/r1/part-0"
    assert may(workload, "s3:DeleteObject", log)
    assert may(workload, "s3:ListBucket", "arn:aws:s3:::data", s3__prefix=f"flights/{PREDICTIONS}/")
    for action in ("s3:GetObject", "s3:PutObject"):
        assert not may(workload, action, log)
    assert not may(workload, "s3:DeleteObject", "arn:aws:s3:::data/flights/projects/late/snapshots/1/rows.parquet")
    assert not may(workload, "s3:ListBucket", "arn:aws:s3:::data", s3__prefix="flights/projects/")


def test_the_feature_server_alone_reads_and_writes_tables_of_features_and_no_other_table() -> None:
    made = of(platform({"flights": {"projects": ["late-flights"]}}))
    of_features = table(f"{table_prefix(site())}late_flights.hourly")
    for action in (*grants.ROWS, *grants.READ_ITEMS, *grants.WRITE_ITEMS):
        there = [key for key, each in made.items() if may(each, action, of_features)]
        assert there == (["online"] if action in grants.ROWS else []), action
    assert may(made["online"], "dynamodb:CreateTable", of_features)
    assert not may(made["online"], "dynamodb:DeleteTable", of_features)
    for other in (live_table(site()), "somebody.else.s", f"x{table_prefix(site())}late.hourly"):
        for action in ("dynamodb:CreateTable", *grants.ROWS):
            assert not may(made["online"], action, table(other)), other


def test_the_feature_server_opens_rows_with_the_key_of_data_and_nothing_in_a_bucket() -> None:
    made = of(platform())["online"]
    assert may(made, "kms:Decrypt", KEY, kms__ViaService="dynamodb.eu-west-1.amazonaws.com")
    assert not may(made, "kms:Decrypt", KEY, kms__ViaService="s3.eu-west-1.amazonaws.com")
    assert not may(made, "s3:GetObject", "arn:aws:s3:::data/flights/train/part-0")


def test_the_stream_s_events_are_for_every_team_and_no_team_can_be_called_as_they_are() -> None:
    with_stream, without = of(platform({"flights": {}})), of(platform({"flights": {}}), stream=None)
    events = f"arn:aws:s3:::data/{grants.EVENTS}/date=2026-01-01/part-0"
    assert may(with_stream["flights-pipeline"], "s3:GetObject", events)
    assert not may(with_stream["flights-pipeline"], "s3:PutObject", events)
    assert may(with_stream["flights-pipeline"], "kinesis:PutRecords", STREAM)
    assert not may(without["flights-pipeline"], "s3:GetObject", events)
    with pytest.raises(Exception, match="teams"):
        platform({grants.EVENTS: {}})


@pytest.mark.parametrize("service", ["s3", "dynamodb", "secretsmanager", "kinesis", "ec2"])
def test_the_key_of_data_opens_only_by_way_of_what_a_workload_uses(service: str) -> None:
    via = f"{service}.eu-west-1.amazonaws.com"
    made = of(platform({"flights": {}}))
    assert may(made["tracking"], "kms:Decrypt", KEY, kms__ViaService=via) == (service == "s3")
    assert may(made["external-secrets"], "kms:Decrypt", KEY, kms__ViaService=via) == (service == "secretsmanager")
    assert not may(made["external-secrets"], "kms:GenerateDataKey", KEY, kms__ViaService=via)
    for each in made.values():
        assert not may(each, "kms:Decrypt", KEY), f"{each.key} uses the key by no service"


def test_the_setup_job_writes_applications_secrets_and_only_reads_the_master_s() -> None:
    job = of(platform())["databases"]
    assert may(job, "secretsmanager:GetSecretValue", MASTER)
    assert not may(job, "secretsmanager:PutSecretValue", MASTER)
    assert may(job, "secretsmanager:PutSecretValue", TRACKING)


def test_only_external_secrets_reads_the_path_of_the_platform_and_nothing_beside_it() -> None:
    made = of(platform({"flights": {}}))
    inside = site().arn("secretsmanager", f"secret:{site().path('tracking-admin')}-abcdef")
    beside = inside.replace("0123456789ab"[:6], "999999")
    readers = [each.key for each in made.values() if may(each, "secretsmanager:GetSecretValue", inside)]
    assert readers == ["external-secrets"]
    assert inside != beside
    assert not may(made["external-secrets"], "secretsmanager:GetSecretValue", beside)


@pytest.mark.parametrize("online", ["dynamodb", "valkey"])
def test_no_document_is_longer_than_aws_takes_for_a_team_of_twenty_projects(online: str) -> None:
    projects = [f"project-{number:02}-of-the-flights-team" for number in range(20)]
    for each in of(platform({"flights-and-airports": {"projects": projects}}), online).values():
        text = re.sub(r"\s", "", document(*each.statements))
        assert len(text) <= INLINE_LIMIT, each.key
        sids = [one["Sid"] for one in json.loads(text)["Statement"]]
        assert len(sids) == len(set(sids)), each.key


def test_with_valkey_a_workload_signs_in_as_its_own_user_and_touches_no_table() -> None:
    made = of(platform({"flights": {"projects": ["delay"]}}), "valkey")
    users = {
        name: [arn for each in made[name].statements if each.sid == "Connect" for arn in each.resources][1]
        for name in ("features", "flights-pipeline", "flights-serving")
    }
    assert len(set(users.values())) == 3
    assert not may(made["flights-serving"], "elasticache:Connect", str(users["flights-pipeline"]))
    assert not any(may(each, "dynamodb:GetItem", table("any")) for each in made.values())
    assert not {"online", "tables"} & made.keys()


@pytest.mark.parametrize("team", sorted(RESERVED))
def test_a_team_cannot_be_called_as_a_namespace_of_the_cluster_s_own(team: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"teams.{team}")):
        of(platform({team: {}}))


def test_each_workload_has_one_role_and_one_service_account() -> None:
    made = workloads(platform({"flights": {}, "rail": {}}), wiring())
    assert len({each.key for each in made}) == len({(each.namespace, each.service_account) for each in made})
    assert len({each.key for each in made}) == len(made)


def watched(**topics: str | None) -> PlatformSpec:
    receivers = {name: ReceiverSpec(kind="sns", topic=topic) for name, topic in topics.items()}
    on = KubernetesSpec(monitoring=MonitoringSpec(receivers=receivers))
    return platform({"flights": {}}).model_copy(update={"kubernetes": on})


def test_alertmanager_publishes_to_the_account_s_topic_by_way_of_its_key_alone() -> None:
    found = of(watched(people=None))["monitoring-alertmanager"]
    assert (found.namespace, found.service_account) == ("monitoring", "alertmanager")
    assert may(found, "sns:Publish", TOPIC)
    assert may(found, "kms:GenerateDataKey", ALERTS_KEY, kms__ViaService="sns.eu-west-1.amazonaws.com")
    assert not may(found, "kms:GenerateDataKey", ALERTS_KEY, kms__ViaService="s3.eu-west-1.amazonaws.com")
    assert not may(found, "sns:Publish", THEIRS)


def test_a_topic_of_somebody_else_s_is_all_that_it_publishes_to() -> None:
    found = of(watched(oncall=THEIRS))["monitoring-alertmanager"]
    assert may(found, "sns:Publish", THEIRS)
    assert not may(found, "sns:Publish", TOPIC)
    assert not may(found, "kms:Decrypt", ALERTS_KEY, kms__ViaService="sns.eu-west-1.amazonaws.com")


def test_where_nobody_is_told_by_a_topic_nobody_may_publish() -> None:
    assert "monitoring-alertmanager" not in of(platform({"flights": {}}))
