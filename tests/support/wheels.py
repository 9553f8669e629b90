"""The wheel alone, in an empty environment: what somebody has who never saw this repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from commands import ROOT, Mlplat
from mlplat.environment import ensure


def install(folder: Path) -> Mlplat:
    """Build the wheel and install it with what it requires and nothing else; return its command line."""
    wheels = folder / "wheels"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    python = ensure(ROOT / "requirements" / "cli.txt", folder / "env", progress=lambda _: None)
    (wheel,) = wheels.glob("*.whl")
    command = ["-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    made = Mlplat(folder / "user", command=(str(python.with_name("mlplat")),))
    made.folder.mkdir()
    return made
