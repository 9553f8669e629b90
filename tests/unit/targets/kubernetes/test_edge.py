from __future__ import annotations

import json
from typing import Any

import pytest

import crds
from mlplat.manifests import names, route
from mlplat.services.gateway import BUCKETS_MS
from mlplat.spec.kubernetes import ExposureSpec, JwtSpec
from mlplat.targets.kubernetes import callers, edge, writers
from mlplat.targets.kubernetes.ground import Cloud, Ground, Objects

JWT = JwtSpec(issuer="https://who.example.com", audiences=["models"], jwks="https://who.example.com/keys")
EXPOSURES = {
    "default": ExposureSpec(),
    "plain": ExposureSpec(authentication="none", service="cluster-ip", replicas=1),
    "ports": ExposureSpec(service="node-port"),
    "tls": ExposureSpec(tls_secret="tls", hostname="ml.example.com"),  # noqa: S106 - the name of one
    "tokens": ExposureSpec(authentication="jwt", jwt=JWT),
}
CLOUD = Cloud("eu-west-1", "c", "topic", {"mlplat:b": "2", "mlplat:a": "1"})
NAMED = Cloud(**{**vars(CLOUD), "certificate": "arn:certificate", "hostname": "endpoints.ml.example.com"})


def ground(cloud: Cloud | None = None, **more: Any) -> Ground:
    return Ground(None, True, Objects({}, "eu-west-1"), {}, cloud=cloud, **more)


def everything(exposure: ExposureSpec, on: Ground) -> list[dict[str, Any]]:
    return [*edge.kind(), *edge.gateway(exposure, on), *edge.policies(exposure), *edge.team_policy("flights", exposure)]


def one(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in documents if each["kind"] == kind]
    return found


@pytest.mark.parametrize("name", EXPOSURES)
@pytest.mark.parametrize("cloud", [None, CLOUD, NAMED], ids=["bare", "cloud", "named"])
def test_every_object_fits_its_kind(name: str, cloud: Cloud | None) -> None:
    placed = ground(cloud, placement={"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]})
    assert [found for each in everything(EXPOSURES[name], placed) for found in crds.problems(each)] == []


def test_rollouts_read_the_same_histogram_on_a_cluster_as_locally() -> None:
    value = one(edge.gateway(ExposureSpec(), ground()), "EnvoyProxy")["spec"]["bootstrap"]
    assert value["type"] == "Merge"
    (setting,) = json.loads(value["value"])["stats_config"]["histogram_bucket_settings"]
    assert setting == {"match": {"prefix": "cluster."}, "buckets": list(BUCKETS_MS)}


@pytest.mark.parametrize("name", EXPOSURES)
def test_a_route_of_which_nobody_said_who_may_call_it_is_closed(name: str) -> None:
    found = [each for each in edge.policies(EXPOSURES[name]) if each["kind"] == "SecurityPolicy"]
    if EXPOSURES[name].authentication == "none":
        assert found == []
        return
    (policy,) = found
    assert policy["spec"]["authorization"] == {"defaultAction": "Deny"}
    assert [each["name"] for each in policy["spec"]["targetRefs"]] == [names.GATEWAY]


def test_a_teams_keys_open_every_route_of_the_team_and_are_not_handed_on() -> None:
    (policy,) = edge.team_policy("flights", ExposureSpec())
    assert policy["metadata"]["namespace"] == "flights"
    assert policy["spec"]["targetSelectors"] == [{"group": route.API, "kind": "HTTPRoute"}]
    keys = policy["spec"]["apiKeyAuth"]
    # A reference without a namespace is one to the policy's own: no team's keys open another's routes.
    assert keys["credentialRefs"] == [{"kind": "Secret", "name": "endpoint-keys"}]
    assert keys["sanitize"] is True


def test_a_token_opens_the_routes_of_the_teams_that_it_names() -> None:
    (policy,) = edge.team_policy("flights", EXPOSURES["tokens"])
    rules = policy["spec"]["authorization"]
    assert rules["defaultAction"] == "Deny"
    (claim,) = rules["rules"][0]["principal"]["jwt"]["claims"]
    assert claim == {"name": "groups", "valueType": "StringArray", "values": ["flights"]}


@pytest.mark.parametrize("name", EXPOSURES)
def test_nobody_outside_can_say_who_calls(name: str) -> None:
    headers = one(edge.policies(EXPOSURES[name]), "ClientTrafficPolicy")["spec"]["headers"]
    assert headers["earlyRequestHeaders"] == {"remove": [callers.HEADER]}
    told = one(edge.gateway(EXPOSURES[name], ground()), "EnvoyProxy")["spec"]["telemetry"]["accessLog"]["settings"]
    assert told[0]["format"]["json"]["caller"] == "%REQ(X-MLPLAT-CALLER)%"


@pytest.mark.parametrize("name", EXPOSURES)
def test_a_file_has_the_time_to_arrive_where_callers_are_known_and_nobody_else_has_it(name: str) -> None:
    timeouts = one(edge.policies(EXPOSURES[name]), "ClientTrafficPolicy")["spec"]["timeout"]["http"]
    known = EXPOSURES[name].authentication != "none"
    assert timeouts["requestReceivedTimeout"] == (f"{writers.SECONDS}s" if known else "60s")


@pytest.mark.parametrize(
    ("exposure", "cloud", "port", "protocol"),
    [
        ("default", None, 80, "HTTP"),
        ("tls", None, 443, "HTTPS"),
        ("default", CLOUD, 80, "HTTP"),
        ("default", NAMED, 443, "HTTP"),
        ("tls", NAMED, 443, "HTTPS"),
    ],
)
def test_tls_is_ended_by_the_gateway_or_by_the_load_balancer_and_never_twice(
    exposure: str, cloud: Cloud | None, port: int, protocol: str
) -> None:
    documents = edge.gateway(EXPOSURES[exposure], ground(cloud))
    (listener,) = one(documents, "Gateway")["spec"]["listeners"]
    assert (listener["port"], listener["protocol"], "tls" in listener) == (port, protocol, protocol == "HTTPS")
    service = one(documents, "EnvoyProxy")["spec"]["provider"]["kubernetes"]["envoyService"]
    ends = f"{edge.BALANCER}-ssl-cert" in service.get("annotations", {})
    assert ends == (cloud is NAMED and protocol == "HTTP")
    if ends:
        assert service["annotations"][f"{edge.BALANCER}-ssl-ports"] == str(port)


def test_a_load_balancer_is_of_the_controllers_class_inside_the_network_and_tagged() -> None:
    service = one(edge.gateway(ExposureSpec(), ground(CLOUD)), "EnvoyProxy")["spec"]["provider"]["kubernetes"]
    made = service["envoyService"]
    assert made["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert made["annotations"][f"{edge.BALANCER}-scheme"] == "internal"
    assert made["annotations"][f"{edge.BALANCER}-additional-resource-tags"] == "mlplat:a=1,mlplat:b=2"
    open_ = one(edge.gateway(ExposureSpec(internal=False), ground(CLOUD)), "EnvoyProxy")["spec"]["provider"]
    assert open_["kubernetes"]["envoyService"]["annotations"][f"{edge.BALANCER}-scheme"] == "internet-facing"


def test_only_namespaces_of_teams_may_attach_a_route() -> None:
    (listener,) = one(edge.gateway(ExposureSpec(), ground()), "Gateway")["spec"]["listeners"]
    allowed = listener["allowedRoutes"]["namespaces"]
    assert allowed == {"from": "Selector", "selector": {"matchLabels": {names.ROUTES: "true"}}}


def test_the_only_proxy_is_not_kept_from_being_moved() -> None:
    single = one(edge.gateway(EXPOSURES["plain"], ground()), "EnvoyProxy")["spec"]["provider"]["kubernetes"]
    assert "envoyPDB" not in single
    two = one(edge.gateway(ExposureSpec(), ground()), "EnvoyProxy")["spec"]["provider"]["kubernetes"]
    assert two["envoyPDB"] == {"maxUnavailable": 1}
