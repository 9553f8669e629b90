"""Which addresses each subnet has: arithmetic on the network's range, by the letter of the zone.

A range is cut into eight. The first six parts are the private subnets of the zones `a` to `f`, and the last two hold
the public ones, which need room for gateways and load balancers only. A zone's subnets depend on its letter and on
nothing else: adding a zone, leaving one or writing them in another order moves no subnet.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import islice

ZONES = "abcdef"
EIGHTH = 3
"""Bits by which an eighth's prefix is longer than the whole's."""
PUBLIC = 5
"""Bits by which a public subnet's prefix is longer: six of them fit into the last quarter."""
LARGEST_PUBLIC = 24
"""No public subnet is larger, and at /27, the smallest there is, a load balancer still finds its eight addresses."""


@dataclass(frozen=True)
class Subnets:
    """The ranges of one zone's subnets."""

    private: str
    public: str
    pods: str | None


def subnets(cidr: str, zone: str, pod_cidr: str | None = None) -> Subnets:
    """Return the ranges of a zone, named by its letter, in a network of /16 to /22."""
    whole, index = IPv4Network(cidr), ZONES.index(zone)
    quarter = _nth(whole, 2, 3)
    return Subnets(
        private=str(_nth(whole, EIGHTH, index)),
        public=str(_nth(quarter, max(whole.prefixlen + PUBLIC, LARGEST_PUBLIC) - quarter.prefixlen, index)),
        pods=str(_nth(IPv4Network(pod_cidr), EIGHTH, index)) if pod_cidr else None,
    )


def _nth(whole: IPv4Network, bits: int, index: int) -> IPv4Network:
    return next(islice(whole.subnets(prefixlen_diff=bits), index, None))
