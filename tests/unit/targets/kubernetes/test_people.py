from __future__ import annotations

from typing import Any

import pytest

import crds
from mlplat import services
from mlplat.errors import SpecError
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import edge, given, people
from mlplat.targets.kubernetes.ground import Ground, Objects

PAGES: dict[str, Any] = {
    "domain": "ml.example.com",
    "issuer": "https://who.example.com",
    "client_id": "mlplat",
    "secret": "sign-in",
    "tls_secret": "pages-tls",
}
GROUPS = {**PAGES, "groups": ["data-science"], "jwks": "https://who.example.com/keys"}


def platform(pages: dict[str, Any] | None, exposure: dict[str, Any] | None = None, **addons: str) -> PlatformSpec:
    written = {
        "version": 2,
        "target": "kubernetes",
        "engine": {},
        "kubernetes": {
            "context": "c",
            "production": False,
            "exposure": {**(exposure or {}), **({"pages": pages} if pages else {})},
            "addons": addons,
        },
    }
    return parse_platform(written, "a test")


def documents(spec: PlatformSpec) -> list[dict[str, Any]]:
    return people.documents(spec, [each for each in services.on_cluster(spec) if each.name == "tracking"])


def of(kind: str, spec: PlatformSpec) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"] for each in documents(spec) if each["kind"] == kind}


@pytest.mark.parametrize("pages", [PAGES, GROUPS], ids=["anybody", "groups"])
def test_every_object_fits_its_kind(pages: dict[str, Any]) -> None:
    spec = platform(pages)
    ground = Ground(None, True, Objects({}, "eu-west-1"), {})
    made = [*documents(spec), *edge.gateway(spec.kubernetes.exposure, ground)]
    assert [problem for each in made for problem in crds.problems(each)] == []


def test_without_pages_nothing_is_reached_from_outside() -> None:
    spec = platform(None)
    assert documents(spec) == []
    assert people.listeners(spec.kubernetes.exposure) == []


@pytest.mark.parametrize("pages", [PAGES, GROUPS], ids=["anybody", "groups"])
def test_every_route_has_a_sign_in_and_no_other_route_takes_its_name(pages: dict[str, Any]) -> None:
    spec = platform(pages)
    routes = of("HTTPRoute", spec)
    guarded = {policy["targetRefs"][0]["name"]: policy["oidc"] for policy in of("SecurityPolicy", spec).values()}
    assert set(routes) == set(guarded) == {"page-tracking", "page-grafana", "page-workflows"}
    listened = {each["name"]: each for each in people.listeners(spec.kubernetes.exposure)}
    for name, route in routes.items():
        (host,), (parent,) = route["hostnames"], route["parentRefs"]
        assert listened[parent["sectionName"]]["hostname"] == host
        assert listened[parent["sectionName"]]["allowedRoutes"] == {"namespaces": {"from": "Same"}}
        assert guarded[name]["redirectURL"] == f"https://{host}/oauth2/callback"


def test_groups_are_read_from_the_token_that_the_gateway_itself_has_fetched_and_it_goes_no_further() -> None:
    spec = platform(GROUPS)
    policies = of("SecurityPolicy", spec)
    for name, route in of("HTTPRoute", spec).items():
        (provider,) = policies[name]["jwt"]["providers"]
        header = policies[name]["oidc"]["forwardIDToken"]["header"]
        assert provider["extractFrom"] == {"headers": [{"name": header}]}
        assert (provider["issuer"], provider["audiences"]) == (GROUPS["issuer"], [GROUPS["client_id"]])
        assert policies[name]["authorization"]["defaultAction"] == "Deny"
        (rule,) = policies[name]["authorization"]["rules"]
        assert rule["principal"]["jwt"]["claims"][0]["values"] == ["data-science"]
        (removed,) = [each for each in route["rules"][0]["filters"] if each["type"] == "RequestHeaderModifier"]
        assert removed["requestHeaderModifier"] == {"remove": [header]}


def test_another_namespace_gives_leave_for_the_one_service_that_a_route_ends_at() -> None:
    granted = {
        (each["metadata"]["namespace"], each["spec"]["to"][0]["name"])
        for each in documents(platform(PAGES))
        if each["kind"] == "ReferenceGrant"
    }
    ends = [route["rules"][0]["backendRefs"][0] for route in of("HTTPRoute", platform(PAGES)).values()]
    away = {(each["namespace"], each["name"]) for each in ends if each["namespace"] != names.NAMESPACE}
    assert granted == away == {("monitoring", "kube-prometheus-stack-grafana"), ("argo", "argo-workflows-server")}


def test_pages_of_what_is_not_installed_here_are_nobodys() -> None:
    spec = platform(PAGES, monitoring="off", cost="off", pipelines="adopt")
    assert set(of("HTTPRoute", spec)) == {"page-tracking"}


def test_mlflow_takes_what_its_own_page_writes() -> None:
    (tracking,) = [each for each in services.on_cluster(platform(PAGES)) if each.name == "tracking"]
    assert tracking.env["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://tracking.ml.example.com"
    (tracking,) = [each for each in services.on_cluster(platform(None)) if each.name == "tracking"]
    assert "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS" not in tracking.env


def test_what_a_person_has_to_bring_is_told() -> None:
    wanted = {each.name: each.keys for each in given.wanted(platform(PAGES))}
    assert wanted["sign-in"] == ("client-secret",)
    assert wanted["pages-tls"] == ("tls.crt", "tls.key")


@pytest.mark.parametrize(
    ("pages", "addons", "said"),
    [
        ({**PAGES, "tls_secret": None}, {}, "needs a `tls_secret`"),
        ({**PAGES, "groups": ["a"]}, {}, "belong together"),
        ({**PAGES, "domain": "*.ml.example.com"}, {}, "before it"),
        ({**PAGES, "issuer": "http://who.example.com"}, {}, "issuer"),
        (PAGES, {"gateway": "off"}, "needs a gateway"),
    ],
)
def test_what_would_not_be_private_is_refused(pages: dict[str, Any], addons: dict[str, str], said: str) -> None:
    with pytest.raises(SpecError) as refusal:
        platform(pages, None, **addons)
    assert said in str(refusal.value)


def test_the_gateways_own_certificate_serves_pages_that_have_none() -> None:
    spec = platform({**PAGES, "tls_secret": None}, {"tls_secret": "gateway-tls"})
    found = [each["tls"]["certificateRefs"] for each in people.listeners(spec.kubernetes.exposure)]
    assert found == [[{"name": "gateway-tls"}]] * 3


def test_where_a_load_balancer_ends_tls_pages_need_the_gateways_own() -> None:
    written: dict[str, Any] = {
        "version": 2,
        "target": "aws",
        "engine": {},
        "owner": "platform",
        "aws": {"account": "123456789012", "region": "eu-west-1"},
        "kubernetes": {"exposure": {"pages": PAGES}},
    }
    with pytest.raises(SpecError, match="one certificate"):
        parse_platform(written, "a test")
