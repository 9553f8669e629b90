"""What AWS asks in a stack's own region, from its price list; where that has no one answer, the table that ships.

The list is asked by attributes, and an item counts only where all products that fit have one price: two prices mean
that the question was not exact enough, and none of them is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlplat.targets.aws.prices import MACHINES, ListPrices, Price
from mlplat.targets.aws.session import client, telling

if TYPE_CHECKING:
    import boto3

HOME = "us-east-1"
"""One of the few regions that answer for the price list, of all regions."""
SIDE_BY_SIDE = 6
SAME = 1e-9
CONTAINS = "~"
"""Begins an attribute's value that is only a part of it: usage types begin with a mark of their region."""
UNITS: Mapping[str, float] = {"GiBps-mo": 1 / 1024}
"""Units of the list that are others than the table's, and how many of the table's make one."""
Query = tuple[str, Mapping[str, str], float]
"""A service's code, attributes, and how many of the list's units make one of the table's."""

MILLION = 1e6
QUERIES: Mapping[str, Query] = {
    "eks.cluster": ("AmazonEKS", {"usagetype": "~AmazonEKS-Hours:perCluster"}, 1),
    "ebs.gp3": ("AmazonEC2", {"productFamily": "Storage", "volumeApiName": "gp3"}, 1),
    "ebs.gp3_throughput": ("AmazonEC2", {"usagetype": "~EBS:VolumeP-Throughput.gp3"}, 1),
    "vpc.nat": ("AmazonEC2", {"productFamily": "NAT Gateway", "usagetype": "~NatGateway-Hours"}, 1),
    "vpc.nat_gb": ("AmazonEC2", {"productFamily": "NAT Gateway", "usagetype": "~NatGateway-Bytes"}, 1),
    "vpc.public_ipv4": ("AmazonVPC", {"usagetype": "~PublicIPv4:InUseAddress"}, 1),
    "vpc.endpoint": ("AmazonVPC", {"productFamily": "VpcEndpoint", "usagetype": "~VpcEndpoint-Hours"}, 1),
    "vpc.endpoint_gb": ("AmazonVPC", {"productFamily": "VpcEndpoint", "usagetype": "~VpcEndpoint-Bytes"}, 1),
    "elb.network": ("AWSELB", {"productFamily": "Load Balancer-Network", "usagetype": "~LoadBalancerUsage"}, 1),
    "kms.key": ("awskms", {"usagetype": "~KMS-Keys"}, 1),
    "secrets.secret": ("AWSSecretsManager", {"usagetype": "~AWSSecretsManager-Secrets"}, 1),
    "s3.standard": ("AmazonS3", {"volumeType": "Standard", "usagetype": "~TimedStorage-ByteHrs"}, 1),
    "ecr.storage": ("AmazonECR", {"usagetype": "~TimedStorage-ByteHrs"}, 1),
    "rds.gp3": (
        "AmazonRDS",
        {"productFamily": "Database Storage", "usagetype": "~RDS:GP3-Storage", "deploymentOption": "Single-AZ"},
        1,
    ),
    "dynamodb.writes": ("AmazonDynamoDB", {"group": "DDB-WriteUnits", "usagetype": "~WriteRequestUnits"}, MILLION),
    "dynamodb.reads": ("AmazonDynamoDB", {"group": "DDB-ReadUnits", "usagetype": "~ReadRequestUnits"}, MILLION),
    "dynamodb.storage": ("AmazonDynamoDB", {"volumeType": "Amazon DynamoDB - Indexed DataStore"}, 1),
    "kinesis.shard": ("AmazonKinesis", {"group": "Provisioned shard hour"}, 1),
    "kinesis.stream": ("AmazonKinesis", {"usagetype": "~OnDemand-StreamHour"}, 1),
    "kinesis.in": ("AmazonKinesis", {"usagetype": "~OnDemand-BilledIncomingBytes"}, 1),
    "kinesis.out": ("AmazonKinesis", {"usagetype": "~OnDemand-BilledOutgoingBytes"}, 1),
    "logs.in": ("AmazonCloudWatch", {"usagetype": "~DataProcessing-Bytes"}, 1),
    "logs.kept": ("AmazonCloudWatch", {"usagetype": "~TimedStorage-ByteHrs"}, 1),
}
"""How the list is asked for an item; whatever is not here is taken from the table."""


class LivePrices:
    """Prices of one region, asked of AWS once an item."""

    def __init__(self, session: boto3.Session, region: str) -> None:
        self._pricing = client(session, "pricing", region=HOME)
        self.region = region
        self._table = ListPrices()
        self._asked: dict[str, Price | None] = {}

    def ask(self, items: Iterable[str]) -> None:
        """Ask for several items side by side. Raises `MlplatError` where AWS does not answer."""
        wanted = sorted(each for each in set(items) if query(each))
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            list(pool.map(self.of, wanted))

    def of(self, item: str) -> Price | None:
        """Return an item's price in the region, or what the table says of it. Raises `MlplatError` as `ask`."""
        listed = self._table.of(item)
        asked = query(item)
        if asked is None:
            return listed
        if item not in self._asked:
            self._asked[item] = self._ask(item, asked, listed.unit if listed else "hour")
        return self._asked[item] or listed

    def _ask(self, item: str, asked: Query, unit: str) -> Price | None:
        service, attributes, factor = asked
        with telling(f"AWS's price list for `{item}`"):
            pages = self._pricing.get_paginator("get_products").paginate(
                ServiceCode=service, Filters=list(_filters(attributes, self.region)), FormatVersion="aws_v1"
            )
            found = {
                round(usd * factor, 9) for page in pages for product in page["PriceList"] for usd in rates(product)
            }
        if len(found) != 1:
            return None
        today = datetime.now(UTC).date().isoformat()
        return Price(item, found.pop(), unit, self.region, today, f"AWS price list, {service}")


def query(item: str) -> Query | None:
    """Return how the list is asked for an item; None for one that only the table has."""
    if item.startswith(MACHINES):
        attributes = {
            "instanceType": item.removeprefix(MACHINES),
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
            "operation": "RunInstances",
        }
        return "AmazonEC2", attributes, 1
    if item.startswith("rds.db."):
        attributes = {
            "instanceType": item.removeprefix("rds."),
            "databaseEngine": "PostgreSQL",
            "deploymentOption": "Single-AZ",
            "productFamily": "Database Instance",
        }
        return "AmazonRDS", attributes, 1
    if item.startswith("valkey."):
        attributes = {
            "instanceType": item.removeprefix("valkey."),
            "cacheEngine": "Valkey",
            "usagetype": "~NodeUsage:",
        }
        return "AmazonElastiCache", attributes, 1
    return QUERIES.get(item)


def rates(product: str | Mapping[str, Any]) -> Iterator[float]:
    """Yield what one product of the list costs on demand, in USD a unit: of a price by steps, the dearest."""
    document = json.loads(product) if isinstance(product, str) else product
    for term in document.get("terms", {}).get("OnDemand", {}).values():
        steps = [
            float(step["pricePerUnit"]["USD"]) * UNITS.get(step.get("unit", ""), 1.0)
            for step in term["priceDimensions"].values()
            if "USD" in step["pricePerUnit"]
        ]
        # What is free in every step is a free tier's own product.
        if max(steps, default=0.0) > SAME / MILLION:
            yield max(steps)


def _filters(attributes: Mapping[str, str], region: str) -> Iterator[dict[str, str]]:
    yield {"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}
    for field, value in attributes.items():
        kind = "CONTAINS" if value.startswith(CONTAINS) else "TERM_MATCH"
        yield {"Type": kind, "Field": field, "Value": value.removeprefix(CONTAINS)}
