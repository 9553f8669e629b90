"""What a platform says of itself while it stands, on every target alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commands import until
from conformance import SERVICES, Standing
from mlplat import targets

CLOCK = "2013-04-01T00:00:00Z"


def ready(text: str, name: str) -> bool:
    """Tell whether a service is ready by the table that people see."""
    (line,) = [cells for line in text.splitlines() if name in (cells := line.split())]
    assert ("yes" in line) != ("no" in line), line
    return "yes" in line


def test_a_second_up_changes_nothing(standing: Standing) -> None:
    assert standing.brought["changes"]
    again, did_something = standing.again()
    assert again.json()["changes"] == []
    assert "nothing to do" in again.err
    assert not did_something


def test_status_says_of_every_service_whether_it_is_ready(standing: Standing) -> None:
    standing.answer()
    good = standing.run("status").out
    assert all(ready(good, name) for name in SERVICES)
    with standing.hurt() as name:
        bad = standing.run("status", code=1).out
        assert not ready(bad, name)
    until(lambda: standing.run("status", code=None).code == 0, 90, f"{name} is ready again")


def test_doctor_says_what_it_saw_and_changes_nothing(standing: Standing) -> None:
    before = standing.doings()
    looked = standing.run("doctor", "--json", code=None)
    findings: list[dict[str, Any]] = looked.json()
    assert len(findings) > 3
    assert all(each["what"] and each["said"] for each in findings)
    assert looked.code == (0 if all(each["ok"] for each in findings) else 1)
    assert standing.doings() == before


def test_cost_says_what_it_takes_or_why_nothing(standing: Standing) -> None:
    if standing.played is None:
        refused = standing.run("cost", "--json", code=2)
        assert targets.unsupported(standing.target)["cost"].removeprefix("it ") in refused.err
        return
    told = standing.run("cost", "--json").json()
    assert ("full" in told) == ("cost" not in targets.unsupported(standing.target))
    assert told.get("full", 1) > 0
    assert told.get("requests", told)["pods"] > 0


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("endpoint", "show", "flights/none"), 1, "there is no endpoint flights/none"),
        (("endpoint", "delete", "flights/none", "--yes"), 1, "there is no endpoint flights/none"),
        (("endpoint", "show", "Flights_/late"), 2, "`Flights_` cannot be the name of a project"),
        (("deploy", "flights/late.eu", "--version", "1"), 2, "`late.eu` cannot be the name of a model or endpoint"),
        (("rollout", "promote", "elsewhere/late"), 1, "elsewhere"),
    ],
    ids=lambda given: "-".join(given[:2]) if isinstance(given, tuple) else "",
)
def test_what_cannot_be_is_refused_alike(
    standing: Standing, project: Path, argv: tuple[str, ...], code: int, said: str
) -> None:
    refused = standing.run(*argv, cwd=project, code=code)
    assert refused.err.startswith("error: ")
    assert said in refused.err
    assert "hint: " in refused.err


def test_a_key_that_means_nothing_to_the_target_is_refused_with_its_reason(standing: Standing) -> None:
    before = standing.doings()
    with standing.setting(clock=CLOCK):
        reason = targets.unsupported(standing.target).get("clock")
        shown = standing.run("up", "--preview", code=2 if reason else 0)
    assert not reason or f"clock: means nothing to the target `{standing.target}`: {reason}" in shown.err
    assert standing.doings() == before


def test_a_key_that_nobody_knows_is_refused_and_named(standing: Standing) -> None:
    with standing.setting(contoller={}):
        refused = standing.run("up", code=2)
    assert "contoller: unknown key" in refused.err
