from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlplat.errors import SpecError
from mlplat.spec.base import read_yaml
from mlplat.spec.platform import PlatformSpec, parse_platform, read_platform
from mlplat.spec.scalars import as_engine, disputed, from_engine
from scalars import ALIKE, DISPUTED

AT = ("config", "mlplat:platform")


def written(value: str) -> str:
    return f"config:\n  mlplat:platform:\n    # a comment\n    a: {value}\n"


@pytest.mark.parametrize("value", ALIKE)
def test_what_both_readers_take_alike_is_taken(value: str) -> None:
    assert disputed(written(value), AT) == []


@pytest.mark.parametrize("value", DISPUTED)
def test_what_they_take_differently_is_refused_with_its_place_and_what_would_be_right(value: str) -> None:
    (problem,) = disputed(written(value), AT)
    assert problem.path.startswith("config.mlplat:platform.a")
    assert problem.line == 4
    assert problem.hint


@pytest.mark.parametrize("value", [each for each in DISPUTED if " " not in each and each not in {"<<", "="}])
def test_what_is_refused_may_be_written_in_quotes(value: str) -> None:
    text = written(f"'{value}'")
    assert disputed(text, AT) == []
    assert read_yaml(text, "x")["config"]["mlplat:platform"]["a"] == value


def test_what_stands_outside_the_object_is_the_engines_own(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  other:port: 010\n  mlplat:platform: {name: x}\n")
    assert read_platform(path).name == "x"


def test_every_disputed_value_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  mlplat:platform:\n    gateway: {port: 08080}\n    clock: 2013-07-01\n")
    with pytest.raises(SpecError) as caught:
        read_platform(path)
    assert str(caught.value).splitlines() == [
        f"{path}:3: config.mlplat:platform.gateway.port: `08080` starts with 0, which makes it octal for Pulumi",
        f"{path}:4: config.mlplat:platform.clock: `2013-07-01` is a date that Pulumi reads otherwise",
    ]
    assert caught.value.hint == "write the number without it, or quote it\nwrite `2013-07-01T00:00:00Z`, or quote it"


def test_what_only_looks_like_a_time_is_an_error_in_every_document(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"x: is no YAML: month must be in 1\.\.12"):
        read_yaml("a: 2013-13-45\n", "x")
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text(written("2013-13-45"))
    with pytest.raises(SpecError, match="`2013-13-45` is a date that Pulumi reads otherwise"):
        read_platform(path)


def test_whole_numbers_with_a_point_are_whole_numbers_as_in_json() -> None:
    data: Any = {"a": [1.0, 1.5, 1e30, -0.0], "b": {"c": 8080.0}, "d": "1.0", "e": True}
    assert json.dumps(as_engine(data)) == '{"a": [1, 1.5, 1e+30, 0], "b": {"c": 8080}, "d": "1.0", "e": true}'


@pytest.mark.parametrize(
    ("printed", "meant"),
    [
        ("2013-07-01 00:00:00 +0000 UTC", "2013-07-01T00:00:00+00:00"),
        ("2013-07-01 00:00:00.123 +0200 +0200", "2013-07-01T00:00:00.123000+02:00"),
        ("2013-07-01 12:34:56.5 -0500 EST", "2013-07-01T12:34:56.500000-05:00"),
        ("2013-07-01T00:00:00Z", "2013-07-01T00:00:00Z"),
        ("2013-07-01", "2013-07-01"),
        ("on 2013-07-01 00:00:00 +0000 UTC", "on 2013-07-01 00:00:00 +0000 UTC"),
    ],
)
def test_a_time_as_the_engine_prints_it_is_the_time_that_was_written(printed: str, meant: str) -> None:
    assert from_engine({"a": [printed, 1]}) == {"a": [meant, 1]}


def test_a_clock_reaches_the_platform_alike_from_the_file_and_from_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.x.yaml"
    path.write_text("config:\n  mlplat:platform:\n    clock: 2013-07-01T00:00:00.25Z\n")
    assert parse_platform({"clock": "2013-07-01 00:00:00.25 +0000 UTC"}, "x") == read_platform(path) != PlatformSpec()
