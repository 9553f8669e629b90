"""A Prometheus of one's own finds on one computer what its rules read: the files that `up` writes, and who answers."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import promql
import promtool
from commands import Mlplat
from mlplat.watching import local

pytestmark = pytest.mark.e2e


@pytest.fixture
def folder(platform: Mlplat) -> Path:
    """Return the folder of the files."""
    (found,) = (platform.folder / "state").glob(f"*/local/{local.FOLDER}")
    return found


def page(group: dict[str, Any]) -> str:
    """Fetch a target's metrics as Prometheus would."""
    (target,) = group["targets"]
    path = group["labels"].get("__metrics_path__", "/metrics")
    with urllib.request.urlopen(f"http://{target}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def test_prometheus_takes_its_configuration_with_all_that_it_names(folder: Path) -> None:
    assert "SUCCESS" in promtool.run("check", "config", str(folder / local.CONFIG))


def test_the_addresses_answer_with_the_metrics_that_rules_read(folder: Path) -> None:
    pages = {each["labels"]["job"]: page(each) for each in json.loads((folder / local.PLATFORM).read_text())}
    told = set(re.findall(r"^(\w+)[ {]", pages["controller"], re.MULTILINE))
    rules = [rule for group in json.loads((folder / local.RULES).read_text())["groups"] for rule in group["rules"]]
    read = {name for rule in rules for name in promql.read(rule["expr"]).metrics}
    assert {name for name in read if name.startswith("mlplat_controller_")} - told <= {"mlplat_controller_failures"}
    assert "envoy_server_live" in pages["mlplat/envoy"]


def test_a_second_up_writes_none_of_them(platform: Mlplat, folder: Path) -> None:
    # The controller's own follows revisions, and one that had baked may drain at any time.
    files = {path for path in folder.rglob("*") if path.is_file()} - {folder / local.SERVERS}
    before = {path: path.stat().st_mtime_ns for path in files}
    assert {folder / name for name in (local.RULES, local.CONFIG, local.PLATFORM)} <= set(before)
    platform.run("up")
    assert {path: path.stat().st_mtime_ns for path in before} == before
