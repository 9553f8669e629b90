from __future__ import annotations

import json

import pytest

from mlplat.cli import stacks
from mlplat.engine.events import EngineChange, Listener
from mlplat.errors import UsageError
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.upgrades import consequences

AWS = {"target": "aws", "engine": {}, "aws": {"account": "111122223333", "region": "eu-west-1", "environment": "dev"}}


def test_what_a_stack_costs_is_told_before_anybody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    stacks._tell_cost(parse_platform(AWS, "test"))
    told = capsys.readouterr().err
    assert "USD a month idle" in told
    assert "`mlplat cost`" in told


def test_this_computer_costs_nothing_and_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    stacks._tell_cost(PlatformSpec())
    assert capsys.readouterr().err == ""


def seen(was: str, now: str) -> Listener:
    found = Listener(print, [EngineChange("update", "deployment", "tracking")])
    found.upgrades += consequences({"tracking": was, "keda": "2.19.0"}, {"tracking": now, "keda": "2.20.2"})
    return found


def test_other_versions_are_told_after_the_changes_and_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    stacks._announce(seen("3.16.0", "3.17.2"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["update", "deployment/tracking"],
        ["of", "another"],
        ["migrates", "tracking"],
        ["restarts", "keda"],
    ]
    stacks._emit(seen("3.16.0", "3.17.2"), None)
    told = json.loads(capsys.readouterr().out)["upgrades"]
    assert [(each["part"], each["was"], each["now"], each["kind"]) for each in told] == [
        ("tracking", "3.16.0", "3.17.2", "migrates"),
        ("keda", "2.19.0", "2.20.2", "restarts"),
    ]


def test_what_nothing_brings_back_is_never_done_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    found = seen("3.16.0", "3.17.2")
    with pytest.raises(UsageError, match=r"tracking: would be .* migrated"):
        stacks._ask(found.changes, False, found.upgrades)
    stacks._ask(found.changes, True, found.upgrades)
    calm = seen("3.17.2", "3.17.2")
    assert [each.part for each in calm.upgrades] == ["keda"]
    stacks._ask(calm.changes, False, calm.upgrades)
