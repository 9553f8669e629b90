# ruff: noqa: INP001, T201 - a script, of no package, that talks to a person
"""Change the code that decides, one spot at a time, and see whether a test notices: mutation testing, by mutmut.

A change that no test notices has survived. `docs/concepts/mutation.json` lists each with what somebody has judged of
it; a survivor that nobody has judged makes this exit with 1. mutmut lies in a folder of its own, beside `.venv`, whose
packages it shares; it makes the changes in a copy, where `mutants.py` tries them.

    python scripts/mutate.py [MODULE …]     only those, as in `runtime/gate/looks`; the others' results stay
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "concepts" / "mutation.json"
CACHE = ROOT / ".cache" / "mutate"
TOOL, WORK = CACHE / "tool", CACHE / "work"
RUNTIME, CONTROLLER = "tests/unit/runtime", "tests/unit/controller"
MODULES: Mapping[str, tuple[str, ...]] = {
    "controller/confidence": (f"{CONTROLLER}/test_decision.py",),
    "controller/decision": (f"{CONTROLLER}/test_decision.py",),
    "controller/retraining": (f"{CONTROLLER}/test_retraining.py",),
    "controller/triggers": (f"{CONTROLLER}/test_triggers.py",),
    "controller/window": (f"{CONTROLLER}/test_window.py",),
    "runtime/availability": (f"{RUNTIME}/test_availability.py",),
    "runtime/gate/comparison": (f"{RUNTIME}/gate/test_comparison.py", f"{RUNTIME}/test_gate.py"),
    "runtime/gate/coverage": (f"{RUNTIME}/gate/test_coverage.py",),
    "runtime/gate/floors": (f"{RUNTIME}/gate/test_floors.py", f"{RUNTIME}/test_gate.py"),
    "runtime/gate/looks": (f"{RUNTIME}/gate/test_looks.py",),
    "runtime/gate/rule": (f"{RUNTIME}/gate/test_rule.py",),
    "runtime/gate/slices": (f"{RUNTIME}/gate/test_slices.py",),
    "runtime/gate/verdict": (f"{RUNTIME}/gate/test_verdict.py", f"{RUNTIME}/test_gate.py"),
    "runtime/monitoring/checks": (f"{RUNTIME}/monitoring/test_checks.py",),
    "runtime/monitoring/distance": (f"{RUNTIME}/monitoring/test_distance.py",),
    "runtime/monitoring/thresholds": (f"{RUNTIME}/monitoring/test_thresholds.py",),
    "runtime/monitoring/windows": (f"{RUNTIME}/monitoring/test_windows.py",),
    "runtime/spans": (f"{RUNTIME}/test_spans.py",),
    "runtime/split": (f"{RUNTIME}/test_split.py",),
}
"""What decides, and the tests that are to notice a change of it: its own, which end within seconds."""
COPIED = ("docs/concepts", "templates")
"""What those tests read besides."""
NOTICED = (1, -signal.SIGXCPU, -signal.SIGALRM)
"""A test failed, or the tests took many times as long: they did not pass."""
SURVIVED = 0


def main(chosen: Sequence[str]) -> int:
    """Change the chosen modules, or all, and write what survived; return the exit code."""
    if unknown := [name for name in chosen if name not in MODULES]:
        print(f"error: `{unknown[0]}` is no module that is changed; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    modules = [name for name in MODULES if not chosen or name in chosen]
    install()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for module in modules:
        stage(module)
        if code := tried(module):
            print(f"error: the tests of `{module}` do not pass as it is", file=sys.stderr)
            return code
        results = merged(results, {module: found()})
        # One after the other: what was found is kept when this is ended.
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return report(results, modules)


def tried(module: str) -> int:
    """Have every change of a module tried in the copy; return an exit code."""
    environment = {**os.environ, "PYTHONPATH": str(TOOL), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # Set, it would have every module's run read the tests anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    script = Path(__file__).with_name("mutants.py")
    asked = [sys.executable, str(script), module, *MODULES[module]]
    return subprocess.run(asked, cwd=WORK, env=environment, check=False).returncode


def install() -> None:
    """Have mutmut in its folder, by hash, unless it is there."""
    requirements = ROOT / "requirements" / "mutate.txt"
    wanted, marker = sha256(requirements.read_bytes()).hexdigest(), TOOL / ".requirements"
    if marker.exists() and marker.read_text() == wanted:
        return
    shutil.rmtree(TOOL, ignore_errors=True)
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "install", "--quiet", "--python", sys.executable]
    subprocess.run([*uv, "--target", str(TOOL), "--require-hashes", "-r", str(requirements)], check=True)
    marker.write_text(wanted)


def stage(module: str) -> None:
    """Lay out a copy in which a module's path is its name, as mutmut expects it."""
    shutil.rmtree(WORK, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    copies = {"platform/mlplat": "src/mlplat", "tests": "tests", **{name: name for name in COPIED}}
    for source, target in copies.items():
        shutil.copytree(ROOT / source, WORK / target, ignore=ignored)
    (WORK / "pyproject.toml").write_text(settings(module))


def settings(module: str) -> str:
    """Return the copy's pyproject.toml: the checkout's settings of pytest, and mutmut's."""
    pytest = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    own: dict[str, Any] = {
        "source_paths": ["src"],
        "only_mutate": [f"src/mlplat/{module}.py"],
        "also_copy": list(COPIED),
        # What is said to people is no decision.
        "do_not_mutate_patterns": [r"^\s*raise "],
    }
    there = {**pytest, "pythonpath": ["src", "tests/support", "."]}
    tables = {"tool.mutmut": own, "tool.pytest.ini_options": there}
    # A list, a text or a flag of JSON's is one of TOML's.
    return "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + "\n"
        for name, table in tables.items()
    )


def found() -> dict[str, Any]:
    """Return how many changes of the copy's module there were, how many were noticed, and those that were not."""
    outcomes = json.loads((WORK / "outcomes.json").read_text())
    noticed = sum(each["code"] in NOTICED for each in outcomes)
    survivors = [
        {"function": function(each["name"]), **change(each["diff"]), "judgement": ""}
        for each in outcomes
        if each["code"] == SURVIVED
    ]
    return {"changes": noticed + len(survivors), "noticed": noticed, "survivors": survivors}


def function(name: str) -> str:
    """Return the function that a mutant is of, as people write it."""
    mangled = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    return re.sub(r"^x_?", "", mangled).strip("ǁ").replace("ǁ", ".")


def change(diff: str) -> dict[str, str]:
    """Return what a mutant was made from, and what it became."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    return {
        key: " ".join(line[1:].strip() for line in lines if line.startswith(sign))
        for key, sign in (("was", "-"), ("became", "+"))
    }


def merged(before: Mapping[str, Any], modules: Mapping[str, Any]) -> dict[str, Any]:
    """Return new results over earlier ones, with what was judged of a survivor that is still the same."""
    kept = dict(before.get("modules", {}))
    for name, result in modules.items():
        judged = {_key(each): each["judgement"] for each in kept.get(name, {}).get("survivors", [])}
        survivors = [{**each, "judgement": judged.get(_key(each), "")} for each in result["survivors"]]
        kept[name] = {**result, "survivors": survivors}
    return {"version": 1, "modules": {name: kept[name] for name in MODULES if name in kept}}


def _key(survivor: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(survivor[name] for name in ("function", "was", "became"))


def report(results: Mapping[str, Any], modules: Iterable[str]) -> int:
    """Say what was noticed, and each survivor that nobody has judged; return the exit code."""
    unjudged = 0
    for name in modules:
        result = results["modules"][name]
        print(f"{name}: {result['noticed']} of {result['changes']} changes noticed", file=sys.stderr)
        for each in result["survivors"]:
            if not each["judgement"]:
                unjudged += 1
                print(f"  {each['function']}\n    - {each['was']}\n    + {each['became']}", file=sys.stderr)
    if unjudged:
        print(
            f"error: {unjudged} changes that no test notices are not judged\n\n"
            f"hint: write a test, or why there is none under `judgement` in {RESULTS.relative_to(ROOT)}",
            file=sys.stderr,
        )
    return int(unjudged > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
