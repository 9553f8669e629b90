"""A preview of the AWS platform is measured on the stack file as it is, and judged where one team uses it."""

from __future__ import annotations

import pytest

from bench import preview, report
from bench.results import Previewed, Results
from bench.targets import judge
from mlplat.spec.platform import parse_platform

MB = 10**6


def previewed(teams: int, seconds: float, size: int) -> Previewed:
    return Previewed(teams, 300 + 12 * teams, 2.0, 200 * MB, seconds, size)


@pytest.mark.parametrize(
    ("seconds", "size", "holds"),
    [(9.9, 599 * MB, [True, True]), (10.0, 599 * MB, [False, True]), (9.9, 600 * MB, [True, False])],
)
def test_a_preview_is_to_take_less_than_ten_seconds_and_600_mb(seconds: float, size: int, holds: list[bool]) -> None:
    judged = judge(Results(previews=[previewed(1, seconds, size), previewed(50, 60, 900 * MB)]))
    assert [each.holds for each in judged] == holds


def test_a_run_without_the_platform_of_one_team_judges_nothing() -> None:
    assert {each.holds for each in judge(Results(previews=[previewed(10, 9, MB)]))} == {None}
    assert judge(Results()) == []


def test_the_page_has_a_row_for_each_number_of_teams() -> None:
    page = report._previews([previewed(1, 8.04, 400 * MB), previewed(50, 20, 500 * MB)])
    assert "| 1 | 312 | 2.0 | 200 | 8.0 | 400 |" in page
    assert "| 50 | 900 | 2.0 | 200 | 20.0 | 500 |" in page


@pytest.mark.parametrize("teams", preview.TEAMS)
def test_what_is_measured_is_the_stack_file_with_so_many_teams(teams: int) -> None:
    spec = parse_platform(preview.platform(teams), "bench")
    assert len(spec.teams) == teams
    assert spec.aws is not None
    assert spec.aws.environment == "prod"
