"""Odd values in a stack file: the real engine and mlplat read the same file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import engine
from mlplat.spec.base import _as_json, read_yaml
from mlplat.spec.scalars import as_engine, disputed, from_engine
from scalars import ALIKE, DISPUTED

pytestmark = pytest.mark.engine
KEY = "odd:values"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> engine.Pulumi:
    """Return the engine in a repository of its own, with an empty stack `odd`."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "stacks").mkdir()
    (folder / "Pulumi.yaml").write_text("name: odd\nruntime: python\nstackConfigDir: stacks\n")
    made = engine.Pulumi(folder, folder / "home")
    made.run("stack", "init", "odd")
    return made


def text(values: list[str]) -> str:
    lines = [f"    v{index}: {value}" for index, value in enumerate(values)]
    return "\n".join(["config:", f"  {KEY}:", *lines, ""])


def theirs(odd: engine.Pulumi, values: list[str]) -> dict[str, str] | None:
    """Return each value as the engine hands it to a program; None when it refuses the file."""
    path: Path = odd.folder / "stacks" / "Pulumi.odd.yaml"
    path.write_text(text(values))
    done = odd.run("config", "--json", "-s", "odd", code=None)
    return shown(values, from_engine(json.loads(json.loads(done.out)[KEY]["value"]))) if done.code == 0 else None


def ours(values: list[str]) -> dict[str, str]:
    """Return each value as a spec is made of it."""
    read = as_engine(read_yaml(text(values), "x")["config"][KEY])
    return shown(values, json.loads(json.dumps(read, default=_as_json)))


def shown(values: list[str], read: dict[str, Any]) -> dict[str, str]:
    # JSON tells 1 from 1.0 and from true, which Python's `==` does not.
    return {value: json.dumps(read[f"v{index}"], sort_keys=True) for index, value in enumerate(values)}


def test_the_engine_and_mlplat_read_the_same_values(odd: engine.Pulumi) -> None:
    assert theirs(odd, ALIKE) == ours(ALIKE)


@pytest.mark.parametrize("value", ["010", ".1e2", "2013-07-01 00:00:00", "2013-07-01 00:00:00Z", "9223372036854775808"])
def test_a_refused_value_is_one_that_they_would_read_differently(odd: engine.Pulumi, value: str) -> None:
    assert value in DISPUTED
    assert disputed(text([value]), ("config", KEY))
    read = theirs(odd, [value])
    assert read is not None
    assert read != ours([value])


def test_the_engine_has_no_infinity(odd: engine.Pulumi) -> None:
    assert theirs(odd, [".inf"]) is None
