from __future__ import annotations

import json
from typing import Any

import pytest

import awsparts
from mlplat import services
from mlplat.controller.kubernetes.settings import Settings
from mlplat.services import Job, Ref, SecretRef, Service
from mlplat.services.cluster import development, standing
from mlplat.services.cluster.controller import namespaces, nodes, prometheus, settings
from mlplat.services.cluster.features import FILE, online_store, store
from mlplat.spec.platform import PlatformSpec, parse_platform

DATABASES = {"tracking": "pg-tracking"}
BUCKETS = {each: f"b-{each}" for each in development.PURPOSES}
KEPT = {"databases": DATABASES, "objects": {"buckets": BUCKETS, "secret": "s3", "endpoint": "https://s3.example.com"}}


HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
TEAMS = {"growth": {"projects": ["flights"]}}


def spec(kubernetes: dict[str, Any] | None = None, **more: Any) -> PlatformSpec:
    on = {"context": "c", **(kubernetes or KEPT)}
    return parse_platform({"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": on, **more}, "x")


def small(kubernetes: dict[str, Any] | None = None, **more: Any) -> PlatformSpec:
    return spec({"production": False, **(kubernetes or {})}, **more)


def named(platform: PlatformSpec) -> dict[str, Service]:
    return {each.name: each for each in services.on_cluster(platform)}


def test_a_service_comes_after_those_that_it_needs() -> None:
    made = [each.name for each in services.on_cluster(small())]
    for each in services.on_cluster(small()):
        assert {*each.needs} <= {*made[: made.index(each.name)]}


@pytest.mark.parametrize(
    ("platform", "there"),
    [
        (spec(), {"tracking", "controller"}),
        (spec({**KEPT, "databases": {**DATABASES, "features": "f"}}), {"tracking", "controller", "features"}),
        (small(), {"database", "objects", "tracking", "features", "controller"}),
        (small(teams=TEAMS), {"database", "objects", "tracking", "features", "online", "controller"}),
        (small({"databases": DATABASES}), {"objects", "tracking", "controller"}),
        (
            small({"metadata_service": "public.ecr.aws/x/y:1"}),
            {"database", "objects", "tracking", "features", "metadata", "controller"},
        ),
    ],
)
def test_what_somebody_keeps_is_used_and_what_nobody_keeps_is_small(platform: PlatformSpec, there: set[str]) -> None:
    assert set(named(platform)) == there


def test_production_never_has_a_database_of_its_own_in_the_cluster() -> None:
    with pytest.raises(ValueError, match="for production"):
        spec({"production": True})


def test_only_services_that_may_have_two_replicas_have_them_and_only_in_production() -> None:
    assert {name: each.replicas for name, each in named(spec()).items()} == {"tracking": 2, "controller": 1}
    assert {each.replicas for each in named(small()).values()} == {1}


def test_the_controller_is_never_there_twice_and_alone_signs_in_to_the_cluster() -> None:
    made = named(small())
    assert made["controller"].exclusive
    assert [name for name, each in made.items() if each.token] == ["controller"]


@pytest.mark.parametrize("platform", [spec(), small()])
def test_an_adopted_database_is_entered_by_the_secret_that_was_named(platform: PlatformSpec) -> None:
    secret = named(platform)["tracking"].env["MLPLAT_DATABASE_URL"]
    assert secret == SecretRef("pg-tracking" if platform.kubernetes.databases else "tracking-database", "url")


def test_no_secret_is_an_argument() -> None:
    platform = small({"metadata_service": "public.ecr.aws/x/y:1"})
    for each in services.on_cluster(platform):
        for argv in (each.argv, *(job.argv for job in each.setup)):
            assert not [part for part in argv if isinstance(part, SecretRef)]
            assert Ref("database") not in argv


def test_model_servers_do_not_reach_mlflow() -> None:
    assert named(spec())["tracking"].callers == ("gateway", "pipelines")
    assert [name for name, each in named(small()).items() if "tracking" in each.needs] == ["controller"]


def test_mlflow_answers_to_the_clusters_names_and_a_forwarded_port_and_to_no_name_of_the_outside() -> None:
    found = named(spec({**KEPT, "exposure": {"hostname": "ml.example.com"}}))["tracking"].env[HOSTS]
    assert found == (Ref("names:tracking"), ",localhost:*", ",127.0.0.1:*")


def test_without_a_secret_pods_act_by_their_role() -> None:
    kept = {**KEPT, "objects": {"buckets": BUCKETS}}
    made = named(spec(kept))["tracking"]
    assert standing.IDENTITY in made.reaches
    assert not {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"} & {*made.env}
    assert standing.IDENTITY not in named(spec())["tracking"].reaches


def test_the_schema_is_brought_up_last_of_what_comes_before_mlflow() -> None:
    assert [each.name for each in named(small())["tracking"].setup] == ["database", "buckets", "migrate"]
    assert [each.name for each in named(spec())["tracking"].setup] == ["migrate"]


def test_passwords_of_development_are_made_by_a_job_that_may_read_those_alone() -> None:
    made = named(small())
    jobs: list[Job] = [job for name in ("database", "objects") for job in made[name].setup]
    read = [rule["resourceNames"] for job in jobs for rule in job.rights if "get" in rule["verbs"]]
    assert read == [["database-admin", "features-database", "pipelines-database", "tracking-database"], ["objects"]]
    assert all({*rule["verbs"]} in ({"create"}, {"get"}) for job in jobs for rule in job.rights)


def test_the_controllers_settings_are_all_known_to_it() -> None:
    made = settings(small(teams={"growth": {"projects": ["flights"]}}, pools={"gpu": POOL}))
    given = {
        **made,
        "tracking": "http://t",
        "image": "i",
        "objects": {"bucket": "b", "region": "r", "secret": "objects"},
        "log": {**dict(made["log"]), "bucket": "d"},  # type: ignore[call-overload]  # a document
        "features": "http://f",
    }
    read = Settings.model_validate_json(json.dumps(given))
    assert made["features"] == Ref("url:online")
    assert "features" not in settings(small(teams={}))  # no project, no server
    assert read.namespaces == {"flights": "growth"}
    assert read.pools["gpu"].node_selector == {"gpu": "yes"}
    assert read.log is not None


POOL = {"max_size": 1, "node_selector": {"gpu": "yes"}, "gpu_count": 2}


@pytest.mark.parametrize(("seconds", "told"), [(10.0, 60.0), (300.0, 300.0)])
def test_a_part_of_a_log_that_becomes_an_object_is_filled_for_a_minute_at_least(seconds: float, told: float) -> None:
    log = settings(small(serving={"prediction_log": {"seconds_per_part": seconds, "retention": {"days": 2}}}))["log"]
    assert isinstance(log, dict)
    assert (log["seconds"], log["keep_seconds"], log["bucket"]) == (told, 172_800, Ref("bucket:data"))


def test_where_no_log_is_kept_nobody_is_told_of_one() -> None:
    assert settings(small(serving={"prediction_log": {"enabled": False}}))["log"] is None


def test_a_pool_with_gpus_is_tolerated_and_one_without_is_not() -> None:
    platform = small(pools={"gpu": POOL, "cpu": {**POOL, "gpu_count": 0}})
    assert nodes("gpu", platform)["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
    ]
    assert nodes("cpu", platform)["tolerations"] == []


@pytest.mark.parametrize(("sharing", "asked"), [(1, "nvidia.com/gpu"), (4, "nvidia.com/gpu.shared")])
def test_pods_ask_for_the_gpus_of_a_pool_as_its_nodes_offer_them(sharing: int, asked: str) -> None:
    platform = small(pools={"gpu": {**POOL, "shared_by": sharing}})
    assert nodes("gpu", platform)["gpu_resource"] == asked


def test_a_project_is_its_teams() -> None:
    platform = small(teams={"b": {"projects": ["two", "one"]}, "a": {}})
    assert namespaces(platform) == {"one": "b", "two": "b"}


@pytest.mark.parametrize(
    ("kubernetes", "found"),
    [
        ({}, "http://prometheus-operated.monitoring.svc:9090"),
        ({"addons": {"monitoring": "off", "cost": "off"}}, None),
        ({"addons": {"monitoring": "adopt", "cost": "off"}}, None),
        ({"addons": {"monitoring": "adopt"}, "monitoring": {"prometheus": "http://p:9"}}, "http://p:9"),
        ({"addons": {"autoscaling": "off"}}, None),
    ],
)
def test_keda_is_sent_to_a_prometheus_that_is_known_to_be_there(kubernetes: dict[str, Any], found: str | None) -> None:
    assert prometheus(small(kubernetes)) == found


def test_nothing_is_monitored_where_nothing_monitors() -> None:
    made = named(small({"addons": {"monitoring": "off", "cost": "off"}}))
    assert not [name for name, each in made.items() if each.metrics or "monitoring" in each.callers]


@pytest.mark.parametrize("written", [store(), online_store(small()), online_store(awsparts.platform())])
def test_feasts_files_hold_no_password(written: dict[str, Any]) -> None:
    assert "${MLPLAT_DATABASE_URL}" in json.dumps(written)


def test_the_feature_server_stays_while_its_database_is_gone_and_is_not_ready() -> None:
    server = named(small(teams=TEAMS))["online"]
    assert server.alive is not None
    assert (server.ready.path, server.alive.path) == ("/ready", "/alive")
    assert {"database", "features"} == {*server.needs}


def test_in_an_account_the_feature_server_is_told_of_its_tables_and_signs_in_by_its_role() -> None:
    server = named(awsparts.platform(TEAMS))["online"]
    written, known = json.dumps(server.files[FILE]), {Ref("region"): "eu-west-1", Ref("account:tables"): "acme."}
    for name, value in server.env.items():
        written = written.replace(f"${{{name}}}", known.get(value, "") if isinstance(value, Ref) else "")
    kept = json.loads(written)["online_store"]
    assert (kept["region"], kept["table_name_template"]) == ("eu-west-1", "acme.{project}.{table_name}")
    assert standing.IDENTITY in server.reaches
    assert standing.IDENTITY not in named(small(teams=TEAMS))["online"].reaches


@pytest.mark.parametrize(("kind", "told"), [("dynamodb", Ref("url:online")), ("valkey", None)])
def test_in_an_account_model_servers_are_told_of_the_feature_server_where_there_is_one(
    kind: str, told: Ref | None
) -> None:
    platform = awsparts.platform(TEAMS, online_store={"kind": kind})
    assert ("online" in named(platform)) == (told is not None)
    assert settings(platform).get("features") == told


def test_what_this_computer_runs_is_not_changed_by_what_a_cluster_has() -> None:
    made = {each.name: each for each in services.of(PlatformSpec())}
    assert set(made) == {"tracking", "gateway", "controller"}
    assert not any(each.setup or each.reaches or each.callers or each.token for each in made.values())
