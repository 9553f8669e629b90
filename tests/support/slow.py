"""mlplat's command line under a real engine, on a platform of things that take as long as a test wants."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil

import engine
from commands import ROOT, Mlplat

SLOW = ROOT / "tests" / "engine" / "slow"
STACK = """# ours
config:
  mlplat:platform: # the platform
    version: 2
    name: acme
    engine: {} # shared
"""


class Slow(Mlplat):
    """The command line in a repository of its own. `go` lets what is being made end."""

    def __init__(self, folder: Path) -> None:
        pulumi = engine.Pulumi(folder, folder / "home")
        asked = {name: value for name, value in pulumi.env.items() if name.startswith("PULUMI_") or name == "PATH"}
        del asked["PULUMI_BACKEND_URL"], asked["PULUMI_CONFIG_PASSPHRASE"]
        self.things = folder / "things"
        env = {**asked, "PATH": os.pathsep.join([str(SLOW), asked["PATH"]]), "SLOW_FOLDER": str(self.things)}
        super().__init__(folder, (sys.executable, str(SLOW / "cli.py")), env)
        self.things.mkdir()
        self.stack_file = folder / "stacks" / "Pulumi.local.yaml"
        self.stack_file.parent.mkdir()
        self.stack_file.write_text(STACK)
        shutil.copy(ROOT / "Pulumi.yaml", folder)
        (folder / "platform").mkdir()
        shutil.copy(ROOT / "platform" / "__main__.py", folder / "platform")
        self.go = self.things / "go"
        self.go.touch()

    def want(self, **things: dict[str, Any]) -> None:
        """Say what the platform is to hold: by name, its text and whether it is protected."""
        (self.things / "wanted.json").write_text(json.dumps(things))

    def made(self) -> list[str]:
        """Return the name of each thing as often as it was made."""
        return (self.things / "made").read_text().split()

    def locks(self) -> list[Path]:
        """Return the engine's locks."""
        return list((self.folder / "state" / "pulumi" / ".pulumi" / "locks").rglob("*.json"))

    def pulumi(self) -> engine.Pulumi:
        """Return plain `pulumi` with what `mlplat state env` prints."""
        told = self.run("state", "env", "--json").json()
        found = engine.Pulumi(self.folder, self.folder / "home")
        del found.env["PULUMI_CONFIG_PASSPHRASE"]
        found.env = {**found.env, **{name: self.env[name] for name in self.env if name.startswith("MLPLAT_")}, **told}
        return found


def engines(parent: int) -> list[psutil.Process]:
    """Return the engines that a command has started."""
    return [child for child in psutil.Process(parent).children(recursive=True) if child.name() == "pulumi"]
