"""A real registry of images on a port of loopback: `docker-registry` of Debian, its storage beside the builder's."""

from __future__ import annotations

import json
import shutil
import urllib.request

import containers
from commands import free_ports
from kubeprocesses import Processes

PROGRAM = "docker-registry"


def missing() -> str | None:
    """Return the line that says why there can be no registry here, or None."""
    return None if shutil.which(PROGRAM) else f"no {PROGRAM} here: `scripts/tools node` installs it"


def start(processes: Processes, store: containers.Store) -> str:
    """Start one among a cluster's processes; return its address, which takes images without TLS, as loopback may."""
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    config = {
        "version": 0.1,
        "log": {"level": "warn"},
        # What was pushed once is not sent again: every layer is known by its digest.
        "storage": {"filesystem": {"rootdirectory": str(store.folder / "registry")}},
        "http": {"addr": address},
    }
    # JSON is YAML.
    file = processes.folder / "registry.yml"
    file.write_text(json.dumps(config), encoding="utf-8")
    processes.start("registry", PROGRAM, "serve", file)
    processes.wait("registry", lambda: _answers(address))
    return address


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/v2/", timeout=5):
            return True
    except OSError:
        return False
