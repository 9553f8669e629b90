from __future__ import annotations

from typing import Any

import pytest

import crds
from mlplat import services
from mlplat.manifests import names
from mlplat.services import Ref, Service
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import callers, place, writers

JWT = {"issuer": "https://who.example.com", "audiences": ["ml"], "jwks": "https://who.example.com/keys"}
KEYS: dict[str, Any] = {"authentication": "api-keys"}
TOKENS: dict[str, Any] = {"authentication": "jwt", "jwt": JWT}


def platform(exposure: dict[str, Any], *teams: str, gateway: str = "install") -> PlatformSpec:
    on = {"context": "c", "production": False, "exposure": exposure, "addons": {"gateway": gateway}}
    written = {
        "version": 2,
        "target": "kubernetes",
        "engine": {},
        "kubernetes": on,
        "teams": {each: {} for each in teams},
    }
    return parse_platform(written, "a test")


def tracking(spec: PlatformSpec) -> Service:
    return next(each for each in services.on_cluster(spec) if each.name == "tracking")


def documents(spec: PlatformSpec) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in writers.documents(tracking(spec), spec)}


@pytest.mark.parametrize("exposure", [KEYS, TOKENS], ids=["keys", "tokens"])
def test_every_object_fits_its_kind_and_is_of_the_platforms_own_namespace(exposure: dict[str, Any]) -> None:
    found = documents(platform(exposure, "flights"))
    assert [problem for each in found.values() for problem in crds.problems(each)] == []
    assert {each["metadata"]["namespace"] for each in found.values()} == {names.NAMESPACE}
    # A policy that names another route than ours would leave it to the gateway's, by which nobody gets in.
    for kind in ("SecurityPolicy", "BackendTrafficPolicy"):
        (target,) = found[kind]["spec"]["targetRefs"]
        assert target["name"] == found["HTTPRoute"]["metadata"]["name"]


@pytest.mark.parametrize(
    "spec",
    [platform({"authentication": "none"}, "flights"), platform(KEYS, "flights", gateway="off")],
    ids=["everybody", "no-gateway"],
)
def test_where_nobody_is_known_there_is_no_way_in(spec: PlatformSpec) -> None:
    assert documents(spec) == {}
    assert writers.labels(spec) == {}


def test_mlflow_is_asked_by_a_name_that_it_answers_to() -> None:
    spec = platform(KEYS)
    (rule,) = documents(spec)["HTTPRoute"]["spec"]["rules"]
    (rewrite,) = [each["urlRewrite"] for each in rule["filters"]]
    allowed = tracking(spec).env["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert isinstance(allowed, tuple)
    assert Ref("names:tracking") in allowed
    assert rewrite["hostname"] in place.hosts(tracking(spec))
    assert rewrite["path"] == {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}


def test_keys_come_in_the_header_of_mlflows_clients_and_are_not_handed_on() -> None:
    keys = documents(platform(KEYS, "flights"))["SecurityPolicy"]["spec"]["apiKeyAuth"]
    assert keys["credentialRefs"] == [{"kind": "Secret", "name": "tracking-keys"}]
    assert keys["extractFrom"] == [{"headers": ["authorization"]}]
    assert (keys["forwardClientIDHeader"], keys["sanitize"]) == (callers.HEADER, True)


@pytest.mark.parametrize("teams", [[], ["flights"], ["flights", "growth"]])
def test_a_token_of_any_team_and_of_nobody_else_opens_the_way(teams: list[str]) -> None:
    rules = documents(platform(TOKENS, *teams))["SecurityPolicy"]["spec"]["authorization"]
    assert rules["defaultAction"] == "Deny"
    claims = [each["principal"]["jwt"]["claims"] for each in rules.get("rules", [])]
    assert claims == [[{"name": "groups", "valueType": "StringArray", "values": [each]}] for each in teams]
