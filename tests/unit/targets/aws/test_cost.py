"""What a platform costs, and the cap on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import awsasked
from mlplat.errors import RefusedError, UsageError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.cost import difference, estimate, money, refuse_over_cap
from mlplat.targets.aws.prices import HOURS, Price

TYPES = ["m7i.large", "m7i.xlarge", "r7i.4xlarge", "g6.xlarge", "g5.xlarge", "p5.48xlarge"]


@dataclass(frozen=True)
class Told:
    """Prices by item; nothing else is known."""

    prices: dict[str, float]

    def of(self, item: str) -> Price | None:
        """Return an item's price."""
        return (
            Price(item, self.prices[item], "hour", "eu-west-1", "2026-01-01", "told") if item in self.prices else None
        )


def platform(pool: dict[str, Any] | None = None, **more: Any) -> PlatformSpec:
    """Return a platform with one pool of two `m7i.large`, with changes."""
    made = {"instance_types": ["m7i.large"], "max_size": 2, **(pool or {})}
    return awsasked.spec(pools={"cpu": made}, **more)


def test_a_line_is_units_times_price() -> None:
    found = estimate(platform(), Told({"ec2.m7i.large": 0.5, "ebs.gp3": 0.1}))
    machines, disks = (line for line in found.lines if line.component == "pool cpu")
    assert (machines.idle_usd, machines.full_usd) == (0.0, 2 * HOURS * 0.5)
    assert disks.idle_usd == 0.0
    assert disks.full_usd == pytest.approx(2 * 100 * 0.1)


def test_full_is_the_dearest_type_and_idle_the_cheapest() -> None:
    spec = platform({"instance_types": ["g5.xlarge", "g6.xlarge"], "min_size": 1})
    found = estimate(spec, Told({"ec2.g5.xlarge": 3.0, "ec2.g6.xlarge": 2.0}))
    line = next(line for line in found.lines if line.component == "pool cpu")
    assert (line.idle_usd, line.full_usd) == (2.0 * HOURS, 2 * 3.0 * HOURS)


def test_system_nodes_are_idle_the_first_type_which_the_group_takes() -> None:
    spec = awsasked.spec({"cluster": {"system_nodes": {"instance_types": ["m7i.large", "m6i.large"]}}})
    found = estimate(spec, Told({"ec2.m7i.large": 2.0, "ec2.m6i.large": 1.0}))
    line = next(line for line in found.lines if line.component == "system nodes")
    assert line.idle_usd == 2 * 2.0 * HOURS


def test_a_pool_with_one_type_of_unknown_price_is_unknown_at_its_most() -> None:
    spec = platform({"instance_types": ["g5.xlarge", "g6.xlarge"]})
    found = estimate(spec, Told({"ec2.g6.xlarge": 2.0}))
    line = next(line for line in found.lines if line.component == "pool cpu")
    assert (line.full_usd, line.unit_usd, line.item) == (None, None, "ec2.g5.xlarge")
    assert line in found.unknown


def test_what_is_paid_by_volume_is_not_counted_until_somebody_says_how_much() -> None:
    silent, told = estimate(awsasked.spec()), estimate(awsasked.spec(cost={"volumes": {"s3.standard": 1000}}))
    assert told.full_usd - silent.full_usd == pytest.approx(23.0)
    assert {line.item for line in silent.by_volume} - {line.item for line in told.by_volume} == {"s3.standard"}


@pytest.mark.parametrize(("item", "idle"), [("s3.standard", True), ("vpc.nat_gb", False)])
def test_what_is_kept_costs_also_while_idle_and_what_is_moved_does_not(item: str, idle: bool) -> None:
    silent, told = estimate(awsasked.spec()), estimate(awsasked.spec(cost={"volumes": {item: 1000}}))
    assert (told.idle_usd > silent.idle_usd) is idle
    assert told.full_usd > silent.full_usd


def test_a_price_in_the_stack_file_counts_before_the_list() -> None:
    found = estimate(platform(cost={"prices": {"ec2.m7i.large": 1.0, "eks.cluster": 0.0}}))
    lines = {line.item: line for line in found.lines}
    assert (lines["ec2.m7i.large"].unit_usd, lines["ec2.m7i.large"].source) == (1.0, "cost.prices")
    assert lines["eks.cluster"].full_usd == 0.0


@pytest.mark.parametrize("written", [{"volumes": {"s3.standrad": 1}}, {"prices": {"ec2.m7i.lrage": 1.0}}])
def test_a_price_or_volume_of_nothing_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="is of nothing that this stack makes"):
        estimate(platform(cost=written))


def test_a_volume_whose_price_nobody_knows_is_unknown() -> None:
    found = estimate(awsasked.spec({"backup": {"enabled": True}}, cost={"volumes": {"backup.s3": 100}}))
    assert [line.item for line in found.unknown] == ["backup.s3"]


def test_a_local_platform_costs_nothing() -> None:
    with pytest.raises(UsageError, match="costs nothing"):
        estimate(PlatformSpec())
    refuse_over_cap(PlatformSpec())


def test_a_cap_is_kept_and_its_refusal_names_the_dearest() -> None:
    full = estimate(platform()).full_usd
    refuse_over_cap(platform(cost={"max_monthly_usd": full + 1}))
    with pytest.raises(RefusedError, match=r"at full use this costs .* system nodes") as caught:
        refuse_over_cap(platform(cost={"max_monthly_usd": full - 1}))
    assert "max_size" in str(caught.value.hint)


def test_a_cap_that_cannot_be_kept_is_refused() -> None:
    database = {"database": {"instance_class": "db.x9g.large"}}
    refuse_over_cap(platform(aws=database))
    with pytest.raises(RefusedError, match=r"nobody knows what `rds\.db\.x9g\.large` costs"):
        refuse_over_cap(platform(aws=database, cost={"max_monthly_usd": 1e9}))
    refuse_over_cap(platform(aws=database, cost={"max_monthly_usd": 1e9, "prices": {"rds.db.x9g.large": 1.0}}))


def test_a_change_shows_its_difference_the_dearest_first() -> None:
    before = estimate(platform({"max_size": 2}))
    after = estimate(platform({"max_size": 4}, aws={"network": {"nat": "single"}}))
    changes = difference(before, after)
    assert [each.component for each in changes] == ["pool cpu", "network"]
    assert changes[0].idle_usd == 0.0
    assert changes[1].full_usd == changes[1].idle_usd == pytest.approx(-2 * 0.05 * HOURS)
    assert sum(each.full_usd for each in changes) == pytest.approx(after.full_usd - before.full_usd)
    assert difference(before, before) == []


def test_components_add_up_to_the_whole() -> None:
    found = estimate(platform())
    assert sum(full for _, full in found.components().values()) == pytest.approx(found.full_usd)
    assert sum(idle for idle, _ in found.components().values()) == pytest.approx(found.idle_usd)


@given(
    types=st.lists(st.sampled_from(TYPES), min_size=1, unique=True),
    size=st.integers(1, 500),
    more=st.integers(0, 500),
    warm=st.integers(0, 3),
    type_more=st.sampled_from(TYPES),
)
def test_more_never_costs_less(types: list[str], size: int, more: int, warm: int, type_more: str) -> None:
    warm = min(warm, size)
    one = estimate(platform({"instance_types": types, "max_size": size, "min_size": warm}))
    larger = estimate(platform({"instance_types": types, "max_size": size + more, "min_size": warm}))
    wider = estimate(platform({"instance_types": [*types, type_more], "max_size": size, "min_size": warm}))
    assert one.idle_usd <= one.full_usd <= larger.full_usd
    assert one.full_usd <= wider.full_usd
    assert larger.idle_usd == one.idle_usd


@pytest.mark.parametrize(("usd", "told"), [(0.5, "0.50 USD"), (99.99, "99.99 USD"), (1234.5, "1,234 USD")])
def test_cents_are_told_where_they_matter(usd: float, told: str) -> None:
    assert money(usd) == told
