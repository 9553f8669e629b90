"""What the how-tos have people write into `mlplat.yaml`, and the code that they show, are taken as they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from commands import ROOT, merged
from mlplat.runtime.monitoring.checks import Measured, Window
from mlplat.spec.base import parse, read_yaml
from mlplat.spec.project import ProjectSpec

PAGES = ("explain", "look-ups", "monitor", "own-data", "retraining", "review", "search")
PROJECT = {
    "version": 1,
    "project": "flights",
    "model": "late",
    "task": "binary",
    "data": {"source": "flights.csv", "target": "late", "time": "asked"},
}


def blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a how-to in one language."""
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def alternatives(block: str) -> Iterator[str]:
    """Yield a block; or, where it has a key more than once, a block for each: the reader takes one of them."""
    head, *lines = block.splitlines(keepends=True)
    parts = re.findall(r"(?m)^  \S.*\n(?:^   +.*\n)*", "".join(lines))
    names = [part.partition(":")[0] for part in parts]
    if len(names) == len(set(names)):
        yield block
        return
    for part in parts:
        yield head + part


def written() -> list[Any]:
    return [
        pytest.param(text, id=f"{page}-{number}")
        for page in PAGES
        for number, text in enumerate(each for block in blocks(page, "yaml") for each in alternatives(block))
    ]


@pytest.mark.parametrize("text", written())
def test_what_a_how_to_writes_into_mlplat_yaml_is_taken(text: str) -> None:
    asked = read_yaml(text, "the how-to")
    spec = parse(ProjectSpec, merged(PROJECT, asked), "the how-to")
    for group, keys in asked.items():
        found = json.loads(spec.model_dump_json(include={group}))[group]
        assert found.keys() >= keys.keys()


def test_every_how_to_shows_what_to_write_and_choices_are_told_apart() -> None:
    assert all(blocks(page, "yaml") for page in PAGES)
    assert len(list(alternatives(blocks("own-data", "yaml")[0]))) == 4


def test_a_check_of_ones_own_reads_the_report_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = pd.Timestamp("2013-06-03", tz="UTC")
    weeks = [
        Window(start + pd.Timedelta(weeks=week), start + pd.Timedelta(weeks=week + 1), 900, columns, None)
        for week, columns in enumerate(({}, {"temp": {"psi": Measured(4.9, 1)}}, {"temp": {"psi": Measured(5.1, 1)}}))
    ]
    path = tmp_path / ".mlplat/runs/7/drift.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"windows": [week.described() for week in weeks]}))
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("monitor", "python")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the how-to's own lines
    assert [week["start"] for week in names["late"]] == ["2013-06-17T00:00:00+00:00"]
