"""What a platform on AWS costs a month, before anything is made: idle, and at full use all month.

`estimate` is a function of the spec and a table of prices, and asks nobody. It is a bound, not a forecast: at full use
every pool is as large as it may be, of its dearest type, on-demand, day and night.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlplat.errors import RefusedError, UsageError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.prices import KEPT, ListPrices, OwnPrices, Price, Prices
from mlplat.targets.aws.usage import Use, uses

SHOWN = 3
CENT = 0.005


@dataclass(frozen=True)
class Line:
    """What one thing costs, in USD a month."""

    component: str
    what: str
    item: str
    """Name of its price, by which `cost.prices` and `cost.volumes` know it."""
    unit: str
    idle_units: float | None
    """Units a month; None for what is paid by volume, and nobody has said how much it will be."""
    full_units: float | None
    unit_usd: float | None
    """Price of a unit; None where it is not known."""
    idle_usd: float | None
    """None where price or volume is not known."""
    full_usd: float | None
    region: str
    date: str
    source: str
    note: str

    @property
    def unknown(self) -> bool:
        """Tell whether it costs something that nobody knows, because its price is not known."""
        return self.unit_usd is None and bool(self.full_units)


@dataclass(frozen=True)
class Estimate:
    """What a stack costs."""

    lines: tuple[Line, ...]
    region: str
    cap_usd: float | None

    @property
    def idle_usd(self) -> float:
        """Return the sum of what is known, in USD a month when nobody works."""
        return sum(line.idle_usd or 0.0 for line in self.lines)

    @property
    def full_usd(self) -> float:
        """Return the sum of what is known, in USD a month at full use."""
        return sum(line.full_usd or 0.0 for line in self.lines)

    @property
    def unknown(self) -> tuple[Line, ...]:
        """Return what costs something whose price is not known: the sums lack it."""
        return tuple(line for line in self.lines if line.unknown)

    @property
    def by_volume(self) -> tuple[Line, ...]:
        """Return what is paid by volume, and nobody has said how much it will be: the sums lack it."""
        return tuple(line for line in self.lines if line.full_units is None)

    @property
    def elsewhere(self) -> frozenset[str]:
        """Return the regions, other than the stack's, whose list prices were taken."""
        return frozenset(line.region for line in self.lines if line.region and line.region != self.region)

    def components(self) -> dict[str, tuple[float, float]]:
        """Return what is known of each component: USD a month idle and at full use."""
        found: dict[str, tuple[float, float]] = {}
        for line in self.lines:
            idle, full = found.get(line.component, (0.0, 0.0))
            found[line.component] = idle + (line.idle_usd or 0.0), full + (line.full_usd or 0.0)
        return found


@dataclass(frozen=True)
class Change:
    """By how much one component's cost differs, in USD a month."""

    component: str
    idle_usd: float
    full_usd: float


def estimate(spec: PlatformSpec, prices: Prices | None = None) -> Estimate:
    """Return what a stack costs. Raises `UsageError` for a volume or price that is written and used by nothing."""
    if spec.aws is None:
        raise UsageError(f"`{spec.name}` is on the target `{spec.target}`, which costs nothing")
    found = list(uses(spec))
    _refuse_unused(spec, found)
    known = OwnPrices(spec.cost.prices, prices or ListPrices())
    lines = tuple(_line(use, known, spec.cost.volumes) for use in found)
    return Estimate(lines, spec.aws.region, spec.cost.max_monthly_usd)


def difference(before: Estimate, after: Estimate) -> list[Change]:
    """Return the components whose cost differs, the most expensive change first."""
    old, new = before.components(), after.components()
    changes = [
        Change(each, *(b - a for a, b in zip(old.get(each, (0.0, 0.0)), new.get(each, (0.0, 0.0)), strict=True)))
        for each in dict.fromkeys([*old, *new])
    ]
    differing = [each for each in changes if abs(each.idle_usd) >= CENT or abs(each.full_usd) >= CENT]
    return sorted(differing, key=lambda each: -abs(each.full_usd))


def refuse_over_cap(spec: PlatformSpec) -> None:
    """Raise `RefusedError` for a stack that can cost more than `cost.max_monthly_usd`, or nobody knows how much."""
    cap = spec.cost.max_monthly_usd
    if cap is None or spec.aws is None:
        return
    found = estimate(spec)
    if found.full_usd > cap:
        dearest = sorted(found.components().items(), key=lambda each: -each[1][1])[:SHOWN]
        told = ", ".join(f"{name} {money(full)}" for name, (_, full) in dearest)
        raise RefusedError(
            f"at full use this costs {money(found.full_usd)} a month, more than `cost.max_monthly_usd`, {money(cap)}:"
            f" {told}",
            hint="make `pools.*.max_size` smaller, or raise `cost.max_monthly_usd`; `mlplat cost` shows every part",
        )
    if found.unknown:
        names = ", ".join(f"`{each.item}`" for each in found.unknown)
        raise RefusedError(
            f"nobody knows what {names} costs, so `cost.max_monthly_usd` cannot be kept",
            hint="write the price of a unit under `cost.prices`; `mlplat cost --live` asks AWS for it",
        )


def money(usd: float) -> str:
    """Write an amount for people."""
    return f"{usd:,.0f} USD" if abs(usd) >= 100 else f"{usd:,.2f} USD"  # noqa: PLR2004 - cents matter below it


def _line(use: Use, prices: Prices, volumes: dict[str, float]) -> Line:
    found = [prices.of(item) for item in use.items]
    known = [each for each in found if each is not None]
    # One unknown type among several may be the dearest.
    dearest = max(known, key=lambda each: each.usd) if len(known) == len(found) else None
    unit = known[0].unit if known else ""
    idle, full = _units(use, unit, volumes)
    return Line(
        use.component,
        use.what,
        dearest.item if dearest else next(item for item, each in zip(use.items, found, strict=True) if each is None),
        unit,
        idle,
        full,
        dearest.usd if dearest else None,
        _times(idle, _cheapest(use, known)),
        _times(full, dearest),
        dearest.region if dearest else "",
        dearest.date if dearest else "",
        dearest.source if dearest else "",
        use.note,
    )


def _cheapest(use: Use, known: list[Price]) -> Price | None:
    wanted = use.idle_items or use.items
    return min((each for each in known if each.item in wanted), key=lambda each: each.usd, default=None)


def _units(use: Use, unit: str, volumes: dict[str, float]) -> tuple[float | None, float | None]:
    if not use.by_volume:
        return use.idle, use.full
    volume = volumes.get(use.items[0])
    # What is kept is paid also while nobody works.
    return (volume if volume is None or unit.endswith(KEPT) else 0.0), volume


def _times(units: float | None, price: Price | None) -> float | None:
    if units == 0:
        return 0.0
    return None if units is None or price is None else units * price.usd


def _refuse_unused(spec: PlatformSpec, found: list[Use]) -> None:
    wanted = {item for use in found for item in use.items}
    volumes = {use.items[0] for use in found if use.by_volume}
    unused = [*_beside("volumes", spec.cost.volumes, volumes), *_beside("prices", spec.cost.prices, wanted)]
    if unused:
        raise UsageError(
            f"{' and '.join(unused)} is of nothing that this stack makes",
            hint="`mlplat cost --json` lists the names under `item`",
        )


def _beside(key: str, written: dict[str, float], known: set[str]) -> Iterator[str]:
    return (f"`cost.{key}.{each}`" for each in written if each not in known)
