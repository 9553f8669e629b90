"""A real Pulumi engine on a repository, with a backend, a home and a state folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import DATA, ROOT, TRACEBACK, Done, run

TOOLS = ROOT / ".tools" / "bin"
HOST = ROOT / "tests" / "engine" / "host"
PROGRAM = Path(sys.executable).parent


def find() -> str | None:
    """Return the `pulumi` program: on PATH, or the one that `make tools` builds."""
    return shutil.which("pulumi", path=os.pathsep.join([os.environ.get("PATH", os.defpath), str(TOOLS)]))


@dataclass
class Pulumi:
    """The `pulumi` program in one repository."""

    folder: Path
    """Repository: where Pulumi.yaml lies."""
    home: Path
    """Folder of all that the engine and mlplat keep."""
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLPLAT_", "PULUMI_"))}
        backend = self.home / "backend"
        backend.mkdir(parents=True, exist_ok=True)
        self.env = {
            **kept,
            "PATH": os.pathsep.join([str(HOST), str(PROGRAM), str(TOOLS), kept.get("PATH", os.defpath)]),
            "MLPLAT_STATE_DIR": str(self.home / "state"),
            "MLPLAT_CONFIG_DIR": str(self.home / "config"),
            "MLPLAT_DATA_DIR": str(DATA),
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": "for tests",
            "PULUMI_CREDENTIAL_STORE": "plaintext",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DISABLE_REGISTRY_RESOLVE": "true",
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_SUPPRESS_NEO_LINK": "true",
            "NO_COLOR": "1",
            **self.env,
        }

    def run(self, *argv: str, code: int | None = 0, timeout: float = 240) -> Done:
        """Run a command to its end, and check its exit code unless that is None."""
        done = run(["pulumi", "--non-interactive", *argv], self.folder, self.env, timeout, code, find())
        assert TRACEBACK not in done.out + done.err, done.out + done.err
        return done

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own and let it go on."""
        return subprocess.Popen(
            ["pulumi", "--non-interactive", *argv],
            executable=find(),
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def resources(self, stack: str = "local") -> dict[str, dict[str, Any]]:
        """Return what the engine remembers, by `<type>::<name>`."""
        found = json.loads(self.run("stack", "export", "-s", stack).out)["deployment"].get("resources", [])
        return {"::".join(each["urn"].split("::")[-2:]): each for each in found}

    def raw_state(self) -> str:
        """Return every byte that the backend keeps."""
        backend = self.home / "backend"
        return "\n".join(path.read_text(errors="replace") for path in sorted(backend.rglob("*")) if path.is_file())
