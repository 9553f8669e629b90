"""What a platform keeps of its cluster, as `mlplat cost` shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlplat.cli.console import emit_json, say, table

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec
    from mlplat.targets.kubernetes.addons.footprint import Footprint

MILLI = 1000
GIB_IN_MIB = 1024


def of(spec: PlatformSpec) -> Footprint:
    """Return what a platform keeps of its cluster."""
    from mlplat.targets.kubernetes.addons import footprint

    return footprint.footprint(spec)


def show(found: Footprint, *, every: bool, as_json: bool) -> None:
    """Print it: by group, or each kind of pod."""
    if as_json:
        emit_json(document(found))
        return
    if every:
        rows = [_row(f"{each.group} {each.name}", each.replicas, each.cpu_m, each.memory_mib) for each in found.lines]
        table(rows, ["part", "pods", "processors each", "GiB each"])
    else:
        rows = [_row(name, *asked) for name, asked in found.groups.items()]
        table([*rows, _row("total", *found.total)], ["group", "pods", "processors", "GiB"])
    explain(found)


def explain(found: Footprint) -> None:
    """Say what the numbers are of."""
    pods, cpu, memory = found.total
    say(f"the platform's own {pods} pods ask for {_cpu(cpu)} processors and {_gib(memory)} GiB; teams' are not counted")
    each_cpu, each_memory = found.on_every_node
    if each_cpu or each_memory:
        say(f"each node has {_cpu(each_cpu)} processors and {_gib(each_memory)} GiB less for others")


def document(found: Footprint) -> dict[str, Any]:
    """Return it for a program: thousandths of a processor, and MiB."""
    pods, cpu, memory = found.total
    on_each = dict(zip(("cpu_m", "memory_mib"), found.on_every_node, strict=True))
    lines = [asdict(each) for each in found.lines]
    return {"pods": pods, "cpu_m": cpu, "memory_mib": memory, "on_every_node": on_each, "lines": lines}


def _row(name: str, pods: int, cpu: int, memory: int) -> tuple[str, str, str, str]:
    return name, str(pods), _cpu(cpu), _gib(memory)


def _cpu(milli: int) -> str:
    return f"{milli / MILLI:.2f}"


def _gib(mib: int) -> str:
    return f"{mib / GIB_IN_MIB:.2f}"
