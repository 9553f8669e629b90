"""The table of prices that ships with mlplat, and AWS's own behind the same question."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

import awsasked
from mlplat.errors import RefusedError, UnreachableError
from mlplat.targets.aws import liveprices, machines, prices
from mlplat.targets.aws.liveprices import QUERIES, LivePrices, query, rates
from mlplat.targets.aws.prices import ListPrices, OwnPrices
from mlplat.targets.aws.usage import uses

EVERYTHING: list[dict[str, Any]] = [
    {"network": {"isolated": True}, "audit": {"data_events": True, "guardduty": True}},
    {"stream": {"enabled": True}, "domain": {"name": "ml.example.com"}},
    {"stream": {"enabled": True, "shards": 2}, "online_store": {"kind": "valkey"}},
    {"runner": {"enabled": True, "repository": "https://github.com/example/platform"}},
]
UNLISTED = {"firehose.in", "guardduty.audit_logs", "backup.s3", "backup.restores"}
"""Items that are used and for which no source of a price was found: they are said to be unknown."""


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the credentials that nobody has."""
    awsasked.enter(monkeypatch)


def test_every_price_is_positive_dated_and_has_a_source() -> None:
    for price in prices._table().values():
        assert price.usd > 0
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", price.date), price
        assert price.source
        assert price.unit
        assert price.region == "us-east-1"


def test_no_item_is_listed_twice() -> None:
    text = files("mlplat.targets.aws").joinpath("data/prices.tsv").read_text()
    items = [line.split("\t")[2] for line in text.splitlines() if not line.startswith("#")]
    assert len(items) == len(set(items))


def test_whatever_a_platform_can_use_has_a_price_or_is_known_to_have_none() -> None:
    used = {item for aws in EVERYTHING for use in uses(awsasked.spec(aws)) for item in use.items}
    assert {item for item in used if ListPrices().of(item) is None} == UNLISTED


def test_every_machine_has_a_price() -> None:
    for name, machine in machines.table().items():
        found = ListPrices().of(f"ec2.{name}")
        assert found is not None
        assert (found.usd, found.unit, found.date) == (machine.usd_per_hour, "hour", "2026-07-20")


def test_what_nobody_lists_has_no_price() -> None:
    assert ListPrices().of("ec2.z9.huge") is None
    assert ListPrices().of("rds.db.z9.huge") is None


def test_a_written_price_keeps_the_unit() -> None:
    own = OwnPrices({"s3.standard": 0.01, "ec2.z9.huge": 9.0}, ListPrices())
    for item, usd, unit in (("s3.standard", 0.01, "GB-month"), ("ec2.z9.huge", 9.0, "hour")):
        found = own.of(item)
        assert found is not None
        assert (found.usd, found.unit, found.source) == (usd, unit, "cost.prices")
    assert own.of("kms.key") == ListPrices().of("kms.key")


def product(*steps: tuple[str, str], currency: str = "USD") -> str:
    """Return one product as AWS's price list writes it, with a price by steps."""
    dimensions = {f"S.{n}": {"unit": unit, "pricePerUnit": {currency: usd}} for n, (unit, usd) in enumerate(steps)}
    return json.dumps({"product": {"sku": "S"}, "terms": {"OnDemand": {"S.T": {"priceDimensions": dimensions}}}})


@pytest.mark.parametrize(
    ("document", "usd"),
    [
        (product(("Hrs", "0.0480000000")), [0.048]),
        # The dearest of several steps, so that a free tier is not the price.
        (product(("GB-Mo", "0.0000000000"), ("GB-Mo", "0.2830000000")), [0.283]),
        (product(("GiBps-mo", "45.0560000000")), [0.044]),
        (product(("Requests", "0.000000706")), [0.000000706]),
        (product(("Hrs", "0.0000000000")), []),
        (product(("Hrs", "0.3"), currency="CNY"), []),
        ("{}", []),
    ],
)
def test_a_product_is_read_as_the_list_writes_it(document: str, usd: list[float]) -> None:
    assert list(rates(document)) == pytest.approx(usd)


def live(*products: str) -> LivePrices:
    """Return prices of a region whose list answers once, with these products."""
    session = awsasked.Session({"pricing": [("get_products", {"FormatVersion": "aws_v1", "PriceList": products})]})
    return LivePrices(session, "eu-west-1")


def test_a_price_of_the_region_is_taken_and_asked_once() -> None:
    found = live(product(("Hrs", "0.1")), product(("Hrs", "0.1000")))
    assert (price := found.of("eks.cluster")) is not None
    assert (price.usd, price.unit, price.region) == (0.1, "hour", "eu-west-1")
    assert found.of("eks.cluster") is price


def test_requests_are_priced_by_the_million() -> None:
    price = live(product(("WriteRequestUnits", "0.000000706"))).of("dynamodb.writes")
    assert price is not None
    assert price.usd == pytest.approx(0.706)
    assert price.unit == "million"


@pytest.mark.parametrize("products", [(), (product(("Hrs", "0.1")), product(("Hrs", "0.2")))])
def test_no_answer_and_two_answers_leave_the_table(products: tuple[str, ...]) -> None:
    assert live(*products).of("eks.cluster") == ListPrices().of("eks.cluster")


def test_what_the_list_is_not_asked_for_is_the_tables() -> None:
    assert live().of("backup.rds") == ListPrices().of("backup.rds")
    assert live().of("backup.s3") is None


def test_a_refusal_is_told_as_one() -> None:
    session = awsasked.Session({"pricing": [("get_products", "AccessDeniedException")]})
    with pytest.raises(RefusedError, match=r"does not allow to ask AWS's price list for `eks\.cluster`"):
        LivePrices(session, "eu-west-1").ask(["eks.cluster"])


def test_no_network_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    found = live()

    def fail(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://api.pricing.us-east-1.amazonaws.com")

    monkeypatch.setattr(found._pricing, "get_paginator", fail)
    with pytest.raises(UnreachableError, match="AWS does not answer"):
        found.of("eks.cluster")


def test_every_item_that_is_asked_for_is_in_the_table_in_the_same_unit() -> None:
    for item, (service, attributes, factor) in QUERIES.items():
        assert ListPrices().of(item) is not None, item
        assert service
        assert attributes
        assert factor > 0


@pytest.mark.parametrize(
    ("item", "service", "named"),
    [
        ("ec2.g6.xlarge", "AmazonEC2", {"instanceType": "g6.xlarge", "capacitystatus": "Used"}),
        ("rds.db.m7g.large", "AmazonRDS", {"instanceType": "db.m7g.large", "databaseEngine": "PostgreSQL"}),
        ("valkey.cache.t4g.small", "AmazonElastiCache", {"instanceType": "cache.t4g.small", "cacheEngine": "Valkey"}),
    ],
)
def test_machines_are_asked_for_by_type(item: str, service: str, named: dict[str, str]) -> None:
    asked = query(item)
    assert asked is not None
    assert asked[0] == service
    assert named.items() <= asked[1].items()


def test_the_list_is_asked_for_the_region_and_by_parts_where_names_begin_with_a_mark() -> None:
    found = list(liveprices._filters({"usagetype": "~NatGateway-Hours", "group": "x"}, "eu-west-1"))
    assert found == [
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-west-1"},
        {"Type": "CONTAINS", "Field": "usagetype", "Value": "NatGateway-Hours"},
        {"Type": "TERM_MATCH", "Field": "group", "Value": "x"},
    ]
