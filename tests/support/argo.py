"""A compiled flow's steps as processes of this computer: what Argo does with a graph, its branches and fan-outs.

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
ENCODED = re.compile(r"=toBase64\((workflow|inputs)\.parameters\['(.+?)'\]\)")
SWITCHED = re.compile(
    r"\{\{=\(tasks\['(?P<step>.+?)'\]\.status == 'Succeeded' \? tasks\['(?P=step)'\]\.outputs\.parameters"
    r"\['switch-step'\] : nil\) == '(?P<way>.+?)'\}\}"
)
"""What Metaflow writes where a switch decides whether a step runs."""
SECONDS = 300
ITEM = "(item)"
"""Name under which the item of a fan-out is kept, which no parameter has."""


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
    states: dict[str, str] = field(default_factory=dict)
    """How each task ended: `Succeeded`, or `Skipped` by its condition, or `Omitted` since what it needs was."""
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    """What each step gave on, by step and name."""
    logs: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Run the steps of the graph in its order; fail on the first that does."""
        self._graph(self.template["spec"]["entrypoint"], {})

    def _graph(self, name: str, inputs: Mapping[str, str]) -> None:
        settled: dict[str, str] = {}
        tasks = list(self._part(name)["dag"]["tasks"])
        while tasks:
            # As there: once all that it names has come to an end, of whichever kind.
            task = next(each for each in tasks if _named(each) <= settled.keys())
            tasks.remove(task)
            settled[task["name"]] = self.states[task["name"]] = self._settled(task, settled, inputs)

    def _settled(self, task: Mapping[str, Any], settled: Mapping[str, str], inputs: Mapping[str, str]) -> str:
        if not _depends(task, settled):
            return "Omitted"
        if not self._may(task.get("when") or "true==true"):
            return "Skipped"
        many = task.get("withParam")
        for item in json.loads(self._filled(many)) if many else [None]:
            self._task(task, {**inputs, **({} if item is None else {ITEM: str(item)})})
        return "Succeeded"

    def _may(self, when: str) -> bool:
        """Tell whether one of the conditions of a task holds."""
        return any(self._holds(each.strip("() ")) for each in when.split("||"))

    def _holds(self, condition: str) -> bool:
        if found := SWITCHED.fullmatch(condition):
            return self.outputs.get(found["step"], {}).get("switch-step") == found["way"]
        left, right = self._filled(condition).split("==")
        return left.strip() == right.strip()

    def _part(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(each for each in self.template["spec"]["templates"] if each["name"] == name)
        return found

    def _task(self, task: Mapping[str, Any], outer: Mapping[str, str]) -> None:
        part = self._part(task["template"])
        inputs = {each["name"]: self._filled(each["value"], outer) for each in task["arguments"]["parameters"]}
        if "dag" in part:
            self._graph(part["name"], inputs)
        else:
            self._step(task["name"], part, inputs)

    def _step(self, name: str, part: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
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
            self.logs[name] = done.stdout + done.stderr
            assert done.returncode == 0, f"{name}: {done.returncode}\n{self.logs[name][-4000:]}"
            given = part.get("outputs", {}).get("parameters", [])
            self.outputs[name] = {
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
            text = self._parameter(encoded[2]) if encoded[1] == "workflow" else inputs[encoded[2]]
            return base64.b64encode(text.encode()).decode()
        match key.split("."):
            case ["workflow", "creationTimestamp"]:
                return datetime(2026, 1, 1, tzinfo=UTC).isoformat()
            case ["workflow" | "retries", *_]:
                return {"workflow.name": self.name, "retries": "0"}[key]
            case ["inputs", "parameters", name]:
                return inputs[name]
            case ["item"]:
                return inputs[ITEM]
            case ["tasks", step, *wanted]:
                return self._of_task(step, wanted, key)
        raise AssertionError(f"nobody knows what `{key}` is")

    def _of_task(self, step: str, wanted: list[str], key: str) -> str:
        if wanted == ["status"]:
            return self.states[step]
        # Of a step that never ran Argo leaves the expression as it stands.
        return self.outputs.get(step, {}).get(wanted[-1], f"{{{{{key}}}}}")

    def _parameter(self, name: str) -> str:
        if name in self.parameters:
            return json.dumps(self.parameters[name])
        given = self.template["spec"]["arguments"]["parameters"]
        return next(str(each["value"]) for each in given if each["name"] == name)


_MOUNTED = 'set -e; mount --bind "$1" /mnt; exec bash'
"""Puts the folder of outputs where the pod has it, and runs the script that comes in."""


def _named(task: Mapping[str, Any]) -> set[str]:
    return set(re.findall(r"([\w-]+)\.Succeeded", task.get("depends") or ""))


def _depends(task: Mapping[str, Any], settled: Mapping[str, str]) -> bool:
    ways = (task.get("depends") or "").split("||")
    return any(all(settled[name] == "Succeeded" for name in _named({"depends": way})) for way in ways)
