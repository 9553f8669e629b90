from __future__ import annotations

import json
from typing import Any

import pytest

import capture
from capture import Graph
from mlplat.spec.aws import AwsSpec
from mlplat.targets.aws.domain import AUTHORITIES, Domain
from mlplat.targets.aws.site import Site

NAME = "ml.example.com"
ZONE, PARENT = "Z0123456789ABCDEFGHIJ", "Z9876543210ABCDEFGHIJ"
RECORD, VALIDATION = "aws:route53/record:Record", "aws:acm/certificateValidation:CertificateValidation"


def made(protected: bool = True, **domain: Any) -> tuple[Graph, Domain]:
    written = {
        "account": "111122223333",
        "region": "eu-west-1",
        "environment": "dev",
        "protected": protected,
        "domain": {"name": NAME, **domain},
    }
    spec = AwsSpec.model_validate_json(json.dumps(written))
    kept: list[Domain] = []

    def program() -> None:
        assert spec.domain
        where = Site("mlplat", "dev", "0123456789abcdef", spec)
        kept.append(Domain("domain", spec.domain, site=where, opts=capture.provider()))

    return capture.run(program), kept[0]


def test_the_certificate_is_for_the_name_and_all_names_in_it() -> None:
    graph, domain = made()
    certificate = graph.one("aws:acm/certificate:Certificate").inputs
    assert certificate["domainName"] == NAME
    assert certificate["subjectAlternativeNames"] == [f"*.{NAME}"]
    assert certificate["validationMethod"] == "DNS"
    assert domain.name == NAME


def test_the_certificate_is_proved_by_one_record_in_the_zone() -> None:
    graph, _ = made(zone_id=ZONE)
    proof = graph.one(RECORD, "proof").inputs
    assert proof["zoneId"] == ZONE
    assert proof["type"] == "CNAME"
    assert proof["name"] == "${aws:acm/certificate:Certificate::certificate.resourceRecordName}"
    assert proof["records"] == ["${aws:acm/certificate:Certificate::certificate.resourceRecordValue}"]


def test_an_existing_zone_gets_the_proof_and_nothing_else() -> None:
    graph, domain = made(zone_id=ZONE)
    assert [each.name for each in graph.of(RECORD)] == ["proof"]
    assert not graph.of("aws:route53/zone:Zone")
    assert domain.zone_id == ZONE
    assert domain.name_servers is None


@pytest.mark.parametrize("protected", [True, False])
def test_a_zone_is_kept_since_another_one_has_other_servers(protected: bool) -> None:
    graph, domain = made(protected)
    zone = graph.one("aws:route53/zone:Zone")
    assert (zone.protect, zone.retain_on_delete) == (protected, protected)
    assert zone.inputs["forceDestroy"] is not protected
    assert domain.name_servers is not None


def test_only_aws_issues_certificates_for_a_zone_of_ours() -> None:
    records = made()[0].one(RECORD, "authorities").inputs
    assert records["type"] == "CAA"
    assert set(records["records"]) == {f'0 {kind} "{each}"' for kind in ("issue", "issuewild") for each in AUTHORITIES}


@pytest.mark.parametrize(
    ("domain", "waits"),
    [({}, False), ({"zone_id": ZONE}, True), ({"parent_zone_id": PARENT}, True), ({"delegated": True}, True)],
)
def test_the_certificate_is_waited_for_only_where_the_zone_answers(domain: dict[str, Any], waits: bool) -> None:
    """A zone that its parent does not name answers nobody: `up` would stand for more than an hour, and then fail."""
    graph, _ = made(**domain)
    assert bool(graph.of(VALIDATION)) is waits


def test_the_zone_above_is_told_before_the_certificate_is_waited_for() -> None:
    graph, _ = made(parent_zone_id=PARENT)
    told = graph.one(RECORD, "delegation").inputs
    assert (told["zoneId"], told["name"], told["type"]) == (PARENT, NAME, "NS")
    assert told["records"] == ["${aws:route53/zone:Zone::zone.nameServers}"]
    assert f"{RECORD}::delegation" in graph.one(VALIDATION).depends_on
