"""What AWS asks for one unit of each thing: a dated table that ships with mlplat, and what the stack file says instead.

An item is a short name such as `vpc.nat` or `ec2.g6.xlarge`. A price that nobody has stated is None, never a guess.
With credentials, `liveprices` answers the same question from AWS's own price list.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

from mlplat.targets.aws import machines

HOURS = 730.0
"""Hours a month, as AWS's own calculator counts: 365 days × 24 / 12."""
LISTED = "us-east-1"
"""Region whose prices the table holds; those of others differ, mostly upwards."""
MACHINES = "ec2."
KEPT = "-month"
"""Ends the unit of what is kept rather than done, such as `GB-month`."""


@dataclass(frozen=True)
class Price:
    """What one unit costs."""

    item: str
    usd: float
    unit: str
    region: str
    date: str
    """Day on which the source stated it, `YYYY-MM-DD`; for the stack file's own, empty."""
    source: str


class Prices(Protocol):
    """Whoever knows prices."""

    def of(self, item: str) -> Price | None:
        """Return an item's price; None where it is not known."""


@dataclass(frozen=True)
class ListPrices:
    """The table that ships with mlplat: list prices of one region, taxes and discounts aside."""

    def of(self, item: str) -> Price | None:
        """Return an item's price as the table has it."""
        if item.startswith(MACHINES):
            return _machine(item)
        return _table().get(item)


@dataclass(frozen=True)
class OwnPrices:
    """What a stack file says of prices (`cost.prices`): negotiated ones, another region's, those nobody lists."""

    written: Mapping[str, float]
    others: Prices

    def of(self, item: str) -> Price | None:
        """Return the written price of an item, or what the others know."""
        known = self.others.of(item)
        if item not in self.written:
            return known
        unit = known.unit if known else "hour" if item.startswith(MACHINES) else ""
        return Price(item, self.written[item], unit, "", "", "cost.prices")


def _machine(item: str) -> Price | None:
    found = machines.table().get(item.removeprefix(MACHINES))
    if found is None:
        return None
    return Price(item, found.usd_per_hour, "hour", LISTED, _dated(), "AWS price list, AmazonEC2: Linux, on-demand")


@functools.cache
def _dated() -> str:
    head = resources.files("mlplat.targets.aws").joinpath(f"data/{machines.TABLE}").read_text().partition("\n")[0]
    found = re.search(r"\d{4}-\d\d-\d\d", head)
    return found[0] if found else ""


@functools.cache
def _table() -> Mapping[str, Price]:
    text = resources.files("mlplat.targets.aws").joinpath("data/prices.tsv").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        row["item"]: Price(row["item"], float(row["usd"]), row["unit"], row["region"], row["date"], row["source"])
        for row in csv.DictReader(lines, delimiter="\t")
    }
