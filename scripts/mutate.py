# ruff: noqa: INP001, T201 - a script, of no package, that talks to a person
"""Change the code that decides, one spot at a time, and see whether a test notices: mutation testing, by mutmut.

A change that no test notices has survived. `docs/concepts/mutation.json` lists each with what somebody has judged of
it; a survivor that nobody has judged makes this exit with 1. mutmut lies in a folder of its own, beside `.venv`, whose
packages it shares; it works on a copy, so the checkout stays as it is.

    python scripts/mutate.py [MODULE …]     only those, as in `runtime/gate/looks`; the others' results stay
"""

from __future__ import annotations

import json
import os
import re
import shutil
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
    "runtime/gate/verdict": (f"{RUNTIME}/test_gate.py",),
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
NOTICED = {1: "killed", 3: "killed", 36: "killed", 24: "killed", -24: "killed", 152: "killed", 255: "killed"}
"""A failed test, an error of pytest's, or a time many times over: the tests did not pass. By mutmut's exit codes."""
SURVIVED, UNTESTED = (0,), (5, 33)


def main(chosen: Sequence[str]) -> int:
    """Change the chosen modules, or all, and write what survived; return the exit code."""
    if unknown := [name for name in chosen if name not in MODULES]:
        print(f"error: `{unknown[0]}` is no module that is changed; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    modules = [name for name in MODULES if not chosen or name in chosen]
    install()
    stage(modules)
    environment = {**os.environ, "PYTHONPATH": str(TOOL), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # Set, it would have each of a thousand runs read the tests anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    told = subprocess.run([sys.executable, __file__, "--inside"], cwd=WORK, env=environment, check=False)
    if told.returncode:
        return told.returncode
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = merged(before, {name: found(name) for name in modules})
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return report(results, modules)


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


def stage(modules: Iterable[str]) -> None:
    """Lay out a copy in which a module's path is its name, as mutmut expects it."""
    shutil.rmtree(WORK, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    copies = {"platform/mlplat": "src/mlplat", "tests": "tests", **{name: name for name in COPIED}}
    for source, target in copies.items():
        shutil.copytree(ROOT / source, WORK / target, ignore=ignored)
    (WORK / "pyproject.toml").write_text(settings(modules))


def settings(modules: Iterable[str]) -> str:
    """Return the copy's pyproject.toml: the checkout's settings of pytest, and mutmut's."""
    modules = list(modules)
    pytest = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    own: dict[str, Any] = {
        "source_paths": ["src"],
        "only_mutate": [f"src/mlplat/{name}.py" for name in modules],
        "also_copy": list(COPIED),
        "pytest_add_cli_args_test_selection": list(dict.fromkeys(test for name in modules for test in MODULES[name])),
        "pytest_add_cli_args": ["-p", "atonce"],
        # What is said to people is no decision.
        "do_not_mutate_patterns": [r"^\s*raise "],
        # Threads of numpy's do not outlive a fork: what forks has run nothing.
        "process_isolation": "forkserver",
    }
    there = {**pytest, "pythonpath": ["src", "tests/support", "."]}
    tables = {"tool.mutmut": own, "tool.pytest.ini_options": there}
    # A list, a text or a flag of JSON's is one of TOML's.
    return "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + "\n"
        for name, table in tables.items()
    )


def inside() -> None:
    """Run mutmut where it is installed, and write down how each survivor differs."""
    from mutmut.mutation import diff_apply, mutators

    # Texts are for people, and keys of a report are held by the tests of whoever reads it.
    mutators.mutation_operators[:] = [
        each for each in mutators.mutation_operators if each[1] != mutators.operator_string
    ]
    from mutmut import __main__ as mutmut

    mutmut.cli(["run", "--max-children", "2"], standalone_mode=False)
    for path in Path("mutants/src").rglob("*.py.meta"):
        codes = json.loads(path.read_text())["exit_code_by_key"]
        source = path.relative_to("mutants").with_suffix("")
        differs = {
            name: diff_apply.get_diff_for_mutant(name, path=source)
            for name, code in codes.items()
            if code in SURVIVED + UNTESTED
        }
        path.with_suffix(".diffs").write_text(json.dumps(differs))


def found(module: str) -> dict[str, Any]:
    """Return how many changes of a module there were, how many were noticed, and those that were not."""
    path = WORK / "mutants" / "src" / "mlplat" / f"{module}.py.meta"
    codes = json.loads(path.read_text())["exit_code_by_key"]
    differs = json.loads(path.with_suffix(".diffs").read_text())
    unclear = [name for name, code in codes.items() if code not in (*NOTICED, *SURVIVED, *UNTESTED)]
    survivors = [{"function": function(name), **change(diff), "judgement": ""} for name, diff in differs.items()]
    noticed = sum(code in NOTICED for code in codes.values())
    return {"changes": len(codes) - len(unclear), "noticed": noticed, "survivors": survivors}


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
    if sys.argv[1:] == ["--inside"]:
        inside()
    else:
        raise SystemExit(main(sys.argv[1:]))
