from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.targets.aws.subnets import ZONES, Subnets, subnets

POD_CIDRS = st.none() | st.sampled_from([f"100.{second}.0.0/16" for second in range(64, 128)])


@st.composite
def cidrs(draw: st.DrawFn) -> str:
    """Draw a network of /16 to /22 in 10.0.0.0/8."""
    bits = draw(st.integers(16, 22))
    size = 1 << (32 - bits)
    first = int(IPv4Network("10.0.0.0/8").network_address)
    return f"{IPv4Network((first + size * draw(st.integers(0, (1 << (bits - 8)) - 1)), bits))}"


def ranges(made: Subnets) -> list[IPv4Network]:
    return [IPv4Network(each) for each in (made.private, made.public, made.pods) if each]


@settings(deadline=None)
@given(cidrs(), POD_CIDRS)
def test_every_subnet_lies_inside_and_none_meets_another(cidr: str, pod_cidr: str | None) -> None:
    found = [each for zone in ZONES for each in ranges(subnets(cidr, zone, pod_cidr))]
    wholes = [IPv4Network(each) for each in (cidr, pod_cidr) if each]
    assert all(any(each.subnet_of(whole) for whole in wholes) for each in found)
    assert not any(one.overlaps(other) for one, other in combinations(found, 2))
    assert len(found) == len(ZONES) * (3 if pod_cidr else 2)


@settings(deadline=None)
@given(cidrs())
def test_private_subnets_are_larger_and_public_ones_hold_a_load_balancer(cidr: str) -> None:
    for zone in ZONES:
        made = subnets(cidr, zone)
        private, public = IPv4Network(made.private), IPv4Network(made.public)
        assert private.num_addresses >= 4 * public.num_addresses
        assert 24 <= public.prefixlen <= 27


@pytest.mark.parametrize(
    ("cidr", "zone", "private", "public"),
    [
        ("10.64.0.0/16", "a", "10.64.0.0/19", "10.64.192.0/24"),
        ("10.64.0.0/16", "c", "10.64.64.0/19", "10.64.194.0/24"),
        ("10.64.0.0/16", "f", "10.64.160.0/19", "10.64.197.0/24"),
        ("192.168.4.0/22", "a", "192.168.4.0/25", "192.168.7.0/27"),
        ("192.168.4.0/22", "f", "192.168.6.128/25", "192.168.7.160/27"),
    ],
)
def test_ranges_are_those_that_are_documented(cidr: str, zone: str, private: str, public: str) -> None:
    assert subnets(cidr, zone) == Subnets(private, public, None)


def test_pods_have_an_eighth_of_their_range() -> None:
    assert subnets("10.64.0.0/16", "b", "100.64.0.0/16").pods == "100.64.32.0/19"
