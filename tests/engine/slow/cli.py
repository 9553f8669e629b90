"""mlplat's command line on a platform of slow things: what it declares is all that differs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pulumi

from mlplat.cli import main
from mlplat.contracts import Platform
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local import resources


def install(spec: PlatformSpec, stack: str) -> Platform:
    folder = Path(os.environ["SLOW_FOLDER"])
    before: list[pulumi.Resource] = []
    for name, wanted in json.loads((folder / "wanted.json").read_text()).items():
        values = {"folder": str(folder), "name": name, "text": wanted["text"]}
        opts = pulumi.ResourceOptions(depends_on=[*before], protect=wanted.get("protect"))
        before.append(pulumi.CustomResource("slow:index:Thing", name, values, opts))
    return Platform(spec.name, stack, spec.target, {"things": f"file://{folder}"})


resources.install = install
main()
