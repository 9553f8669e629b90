"""Platforms that an engine made, seen by mlplat's own command line."""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from commands import Mlplat, merged
from engine import Pulumi


def mlplat(pulumi: Pulumi) -> Mlplat:
    """Return mlplat's own command line on the engine's folders."""
    folders = {name: value for name, value in pulumi.env.items() if name.startswith("MLPLAT_")}
    return Mlplat(pulumi.folder, env=folders)


def supervisord(pid: int) -> psutil.Process:
    """Return the process that keeps a service alive."""
    return psutil.Process(psutil.Process(pid).ppid())


def write_stack(pulumi: Pulumi, **settings: object) -> Path:
    """Write the stack `local` of an engine's repository: free ports, and what a test sets."""
    path = pulumi.folder / "stacks" / "Pulumi.local.yaml"
    kept = pulumi.home / "spec.json"
    before = path.read_text().splitlines() if path.exists() else []
    salt = [line for line in before if line.startswith("encryptionsalt")]
    if not kept.exists():
        mlplat(pulumi).stack()
        kept.write_text(json.dumps(json.loads(path.read_text())["config"]["mlplat:platform"]))
    spec = merged(json.loads(kept.read_text()), settings)
    # The engine's salt is a line of YAML; the rest of the file may be JSON, which is YAML.
    path.write_text("\n".join([*salt, f"config: {json.dumps({'mlplat:platform': spec})}", ""]))
    return path
