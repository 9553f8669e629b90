"""`mlplat cost`: what a stack costs a month, before anything is made."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import footprint
from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import json_option, stack_option
from mlplat.errors import UsageError

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec
    from mlplat.targets.aws.cost import Change, Estimate, Line


@click.command()
@stack_option
@click.option(
    "--against", metavar="REV|FILE", help="Show the difference to a git revision of the stack file, or a file."
)
@click.option("--live", is_flag=True, help="Ask AWS for the prices of the stack's own region; needs credentials.")
@click.option("--all", "every", is_flag=True, help="Show every part, and what is paid by volume.")
@json_option
def command(stack: str, against: str | None, live: bool, every: bool, as_json: bool) -> int:
    """Show what a stack costs a month in USD: idle, and at full use day and night.

    A cluster that is there already costs what its keeper pays: for the target `kubernetes`, what the platform's own
    pods ask of it is shown instead.

    Prices are list prices, dated and with their source (`--json`), of us-east-1 unless `--live` asks AWS. What is paid
    by volume counts as far as `cost.volumes` in the stack file says how much it will be.

    Exits with 1 where the stack can cost more than its `cost.max_monthly_usd`, or a price is not known.

    \b
    Example:
      mlplat cost -s prod
      mlplat cost -s prod --against main
      mlplat cost -s staging --all
    """
    from mlplat.spec.platform import read_stack
    from mlplat.targets.aws.cost import difference, estimate

    spec, path = read_stack(stack, Path.cwd())
    if spec.target == "kubernetes":
        _refuse_prices(stack, live=live, against=against)
        footprint.show(footprint.of(spec), every=every, as_json=as_json)
        return 0
    prices = _live(spec) if live else None
    found = estimate(spec, prices)
    changes = None
    if against is not None:
        changes = difference(estimate(_other(against, path), prices), found)
    if as_json:
        emit_json({**_json(found, changes), "requests": footprint.document(footprint.of(spec))})
    else:
        _show(found, every=every)
        footprint.explain(footprint.of(spec))
        if changes is not None:
            _show_changes(changes, str(against))
    return 1 if found.unknown or _over(found) else 0


def _refuse_prices(stack: str, *, live: bool, against: str | None) -> None:
    for option, given in {"--live": live, "--against": against is not None}.items():
        if given:
            raise UsageError(
                f"`{option}` is about prices, and what the cluster of `{stack}` costs is known to its keeper",
                hint=f"leave it out: `mlplat cost -s {stack}` shows what the platform asks of it",
            )


def _live(spec: PlatformSpec) -> Any:
    from mlplat.targets.aws import session
    from mlplat.targets.aws.liveprices import LivePrices
    from mlplat.targets.aws.usage import uses

    if spec.aws is None:
        return None
    found = LivePrices(session.open(spec.aws), spec.aws.region)
    found.ask({item for use in uses(spec) for item in use.items})
    return found


def _other(against: str, path: Path | None) -> PlatformSpec:
    from mlplat.spec import revisions
    from mlplat.spec.platform import read_platform

    if (file := Path(against)).is_file():
        return read_platform(file)
    return revisions.platform(against, path)


def _over(found: Estimate) -> bool:
    return found.cap_usd is not None and found.full_usd > found.cap_usd


def _show(found: Estimate, *, every: bool) -> None:
    if every:
        rows = [_row(line) for line in found.lines]
        table(rows, ["component", "part", "item", "idle USD", "full USD", "a unit", ""])
    else:
        missing = {line.component for line in found.unknown}
        rows = [
            (name, _usd(idle), _usd(full), "and what is not known" if name in missing else "")
            for name, (idle, full) in found.components().items()
            if full or name in missing
        ]
        table(
            [*rows, ("total", _usd(found.idle_usd), _usd(found.full_usd), "")],
            ["component", "idle USD", "full USD", ""],
        )
    _explain(found, every=every)


def _row(line: Line) -> tuple[str, ...]:
    price = "unknown" if line.unit_usd is None else f"{line.unit_usd:g}/{line.unit}"
    idle, full = ("by volume",) * 2 if line.full_units is None else (_usd(line.idle_usd), _usd(line.full_usd))
    return line.component, line.what, line.item, idle, full, price, line.note


def _explain(found: Estimate, *, every: bool) -> None:
    from mlplat.targets.aws.cost import money

    for line in found.unknown:
        say(f"nobody knows what `{line.item}` costs ({line.component}: {line.what}): write it under `cost.prices`")
    for note, components in _notes(found).items():
        say(f"{', '.join(components)}: {note}")
    if found.elsewhere:
        dates = sorted(line.date for line in found.lines if line.date)
        say(f"list prices of {', '.join(sorted(found.elsewhere))}, stated from {dates[0]} to {dates[-1]}")
        say(f"those of {found.region} differ: `--live` asks AWS for them")
    if found.by_volume:
        told = (
            "" if every else f": {', '.join(dict.fromkeys(line.item for line in found.by_volume))} (`--all` shows them)"
        )
        say(f"not counted, as it is paid by volume{told}")
    if found.cap_usd is not None:
        over = "more than" if _over(found) else "within"
        say(f"{money(found.full_usd)} at full use is {over} `cost.max_monthly_usd`, {money(found.cap_usd)}")


def _notes(found: Estimate) -> dict[str, list[str]]:
    notes: dict[str, list[str]] = {}
    for line in found.lines:
        if line.note:
            notes.setdefault(line.note, []).append(line.component)
    return notes


def _show_changes(changes: list[Change], against: str) -> None:
    if not changes:
        say(f"costs the same as {against}")
        return
    say(f"against {against}:")
    rows = [(each.component, f"{each.idle_usd:+,.2f}", f"{each.full_usd:+,.2f}") for each in changes]
    idle, full = sum(each.idle_usd for each in changes), sum(each.full_usd for each in changes)
    table([*rows, ("total", f"{idle:+,.2f}", f"{full:+,.2f}")], ["component", "idle USD", "full USD"])


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.2f}"


def _json(found: Estimate, changes: list[Change] | None) -> dict[str, Any]:
    return {
        "currency": "USD",
        "per": "month",
        "region": found.region,
        "idle": found.idle_usd,
        "full": found.full_usd,
        "cap": found.cap_usd,
        "unknown": [line.item for line in found.unknown],
        "lines": [asdict(line) for line in found.lines],
        **({} if changes is None else {"changes": [asdict(each) for each in changes]}),
    }
