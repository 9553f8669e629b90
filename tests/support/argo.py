"""A compiled flow's steps as processes of this computer: what Argo does with a graph that has no fan-out.

Each step runs in a mount namespace of its own, where the folder of its outputs lies at the path that its pod would
have. That asks for root.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCRATCH = "/tmp/mf-input-paths"  # noqa: S108 - Metaflow's own fixed name, replaced by one of ours
OUT = "/mnt/out"
PLACE = re.compile(r"\{\{(.+?)\}\}")
ENCODED = re.compile(r"=toBase64\(workflow\.parameters\['(.+?)'\]\)")
SECONDS = 300


def possible() -> bool:
    """Tell whether steps can run here."""
    return os.geteuid() == 0 and shutil.which("unshare") is not None


@dataclass
class Workflow:
    """One run of a WorkflowTemplate."""

    template: Mapping[str, Any]
    name: str
    folder: Path
    variables: Mapping[str, str]
    """In place of what a container's own name: addresses, and where programs are found."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """What each step gave on, by step and name."""
    logs: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Run every step in the order of the graph; fail on the first that does."""
        done: set[str] = set()
        tasks = list(self._graph()["tasks"])
        while tasks:
            task = next(each for each in tasks if _needed(each) <= done)
            tasks.remove(task)
            self._step(task)
            done.add(task["name"])

    def _graph(self) -> Mapping[str, Any]:
        spec = self.template["spec"]
        found = next(each for each in spec["templates"] if each["name"] == spec["entrypoint"])
        graph: Mapping[str, Any] = found["dag"]
        return graph

    def _step(self, task: Mapping[str, Any]) -> None:
        part = next(each for each in self.template["spec"]["templates"] if each["name"] == task["template"])
        inputs = {each["name"]: self._filled(each["value"]) for each in task["arguments"]["parameters"]}
        container = part["container"]
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            work, out = Path(place, "work"), Path(place, "mnt", "out")
            work.mkdir()
            out.mkdir(parents=True)
            script = self._filled(container["command"][-1], inputs).replace(SCRATCH, f"{place}/input-paths")
            done = subprocess.run(
                ["unshare", "--mount", "--propagation", "private", "bash", "-c", _MOUNTED, "step", str(out.parent)],
                input=script, cwd=work, env=self._environment(container), capture_output=True, text=True,
                timeout=SECONDS, check=False,
            )  # fmt: skip
            self.logs[task["name"]] = done.stdout + done.stderr
            assert done.returncode == 0, f"{task['name']}: {done.returncode}\n{self.logs[task['name']][-4000:]}"
            given = part.get("outputs", {}).get("parameters", [])
            self.outputs[task["name"]] = {
                each["name"]: (out / Path(each["valueFrom"]["path"]).relative_to(OUT)).read_text() for each in given
            }

    def _environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        own = {each["name"]: self._filled(each["value"]) for each in container.get("env", []) if "value" in each}
        taken = {each["name"]: "here" for each in container.get("env", []) if "valueFrom" in each}
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        return {**kept, **taken, **own, **self.variables}

    def _filled(self, text: str, inputs: Mapping[str, str] | None = None) -> str:
        return PLACE.sub(lambda found: self._value(found[1], inputs or {}), text)

    def _value(self, key: str, inputs: Mapping[str, str]) -> str:
        if encoded := ENCODED.fullmatch(key):
            return base64.b64encode(self._parameter(encoded[1]).encode()).decode()
        match key.split("."):
            case ["workflow", "name"]:
                return self.name
            case ["workflow", "creationTimestamp"]:
                return datetime(2026, 1, 1, tzinfo=UTC).isoformat()
            case ["retries"]:
                return "0"
            case ["inputs", "parameters", name]:
                return inputs[name]
            case ["tasks", step, "outputs", "parameters", name]:
                return self.outputs[step][name]
        raise AssertionError(f"nobody knows what `{key}` is")

    def _parameter(self, name: str) -> str:
        if name in self.parameters:
            return json.dumps(self.parameters[name])
        given = self.template["spec"]["arguments"]["parameters"]
        return next(str(each["value"]) for each in given if each["name"] == name)


_MOUNTED = 'set -e; mount --bind "$1" /mnt; exec bash'
"""Puts the folder of outputs where the pod has it, and runs the script that comes in."""


def _needed(task: Mapping[str, Any]) -> set[str]:
    return set(re.findall(r"([\w-]+)\.Succeeded", task.get("depends", "")))
