"""Prometheus's own tool over rules of ours, and over what they give for made-up series."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import promql
from alertcases import Case
from mlplat.watching.rule import Alert, Group, Recording


def need() -> None:
    """Skip with one line where there is no promtool, unless `MLPLAT_REQUIRE` asks for it."""
    if shutil.which("promtool"):
        return
    if "prometheus" in os.environ.get("MLPLAT_REQUIRE", "").split(","):
        pytest.fail("there is no promtool, and MLPLAT_REQUIRE asks for it")
    pytest.skip("there is no `promtool` here: `scripts/tools prometheus` installs it")


def run(*argv: str) -> str:
    """Run promtool; fail with what it says. Returns that."""
    need()
    ended = subprocess.run(["promtool", *argv], capture_output=True, text=True, check=False, timeout=120)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    return said


def written(folder: Path, groups: Sequence[Group]) -> Path:
    """Write groups as a rule file: JSON is YAML."""
    return _file(folder, "rules.json", {"groups": [group.document(None) for group in groups]})


def check(folder: Path, groups: Sequence[Group]) -> None:
    """Let promtool check groups."""
    run("check", "rules", str(written(folder, groups)))


def rehearse(folder: Path, group: Group, alert: Alert, case: Case) -> None:
    """Let promtool say that an alert fires with exactly its texts, and that it does not."""
    rules = written(folder, [Group(group.name, (*_recorded(group, alert.expr), alert))])
    tests = [_test(alert, case, case.fires, [_expected(alert, case)]), _test(alert, case, case.quiet, [])]
    content = {"rule_files": [str(rules)], "evaluation_interval": case.every, "tests": tests}
    run("test", "rules", str(_file(folder, "tests.json", content)))


def evaluate(
    folder: Path, groups: Sequence[Group], series: Mapping[str, str], wanted: Sequence[dict[str, Any]]
) -> None:
    """Let promtool hold expressions against `wanted`: `expr`, `eval_time` and `exp_samples` of each."""
    rules = written(folder, groups)
    test = {"interval": "1m", "input_series": _series(series), "promql_expr_test": list(wanted)}
    content = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]}
    run("test", "rules", str(_file(folder, "tests.json", content)))


def _recorded(group: Group, expr: str) -> list[Recording]:
    """Return the records of a group that an expression rests on, in their order: all of them would take minutes."""
    records = [each for each in group.rules if isinstance(each, Recording)]
    needed, texts = set[str](), [expr]
    while texts:
        names = set(promql.read(texts.pop()).metrics) - needed
        needed |= names
        texts += [each.expr for each in records if each.record in names]
    return [each for each in records if each.record in needed]


def _test(alert: Alert, case: Case, series: Mapping[str, str], expected: list[dict[str, Any]]) -> dict[str, Any]:
    asked = {"eval_time": case.at, "alertname": alert.name, "exp_alerts": expected}
    return {"interval": "1m", "input_series": _series(series), "alert_rule_test": [asked]}


def _series(series: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"series": name, "values": values} for name, values in series.items()]


def _expected(alert: Alert, case: Case) -> dict[str, Any]:
    document = alert.document(None)
    texts = {key: _rendered(text, case.labels) for key, text in document["annotations"].items()}
    return {
        "exp_labels": {**case.labels, **document["labels"]},
        "exp_annotations": {**texts, "summary": case.says},
    }


def _rendered(text: str, labels: Mapping[str, str]) -> str:
    """Write labels into a template; what is left over, such as a value, does not match what promtool writes."""
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text)


def _file(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path
