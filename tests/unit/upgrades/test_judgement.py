"""What follows from two sets of versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import RefusedError
from mlplat.upgrades import consequences, refuse
from mlplat.upgrades.judgement import refusals
from mlplat.upgrades.ways import KINDS, WAYS

NUMBERS = st.sampled_from(["0.9", "0.19.2", "1.0", "1.34", "1.35", "1.36", "v2.8.0", "3.17.2", "17", "17.6"])
VERSIONS = st.dictionaries(st.sampled_from([*WAYS, "image serving", "image tracking"]), NUMBERS, max_size=6)


def shuffled(values: dict[str, str]) -> dict[str, str]:
    return dict(reversed(values.items()))


@given(VERSIONS)
def test_the_same_versions_do_nothing_and_are_never_refused(versions: dict[str, str]) -> None:
    assert consequences(versions, shuffled(versions)) == []
    refuse(versions, shuffled(versions))


@given(VERSIONS, VERSIONS)
def test_the_order_in_which_parts_are_named_does_not_matter(before: dict[str, str], after: dict[str, str]) -> None:
    assert consequences(before, after) == consequences(shuffled(before), shuffled(after))
    assert refusals(before, after) == refusals(shuffled(before), shuffled(after))


@given(VERSIONS, VERSIONS)
def test_each_part_of_both_that_differs_is_told_once_and_the_gravest_first(
    before: dict[str, str], after: dict[str, str]
) -> None:
    found = consequences(before, after)
    differing = {name for name in {*before} & {*after} if before[name] != after[name]}
    assert {each.part for each in found} | {f"image {each}" for each in differing} >= differing
    assert len({each.part for each in found}) == len(found)
    assert [KINDS.index(each.kind) for each in found] == sorted(KINDS.index(each.kind) for each in found)
    assert {name.part for name in found} <= differing


def test_what_comes_and_what_goes_is_no_upgrade() -> None:
    assert consequences({}, {"tracking": "3.17.2"}) == consequences({"keda": "2.20.2"}, {}) == []
    refuse({}, {"tracking": "1.0.0"})


def test_a_line_says_from_where_to_where_and_why() -> None:
    [found] = consequences({"tracking": "3.16.0"}, {"tracking": "3.17.2"})
    assert str(found).startswith("migrates  tracking  3.16.0 -> 3.17.2: ")
    assert "no way back" in found.why


def test_an_image_is_told_only_where_its_version_says_nothing() -> None:
    before = {"tracking": "3.17.2", "image tracking": "aa", "image serving": "aa"}
    same = consequences(before, {"tracking": "3.17.2", "image tracking": "bb", "image serving": "bb"})
    assert [(each.part, each.kind) for each in same] == [("image tracking", "restarts"), ("image serving", "in place")]
    newer = consequences(before, {"tracking": "3.18.2", "image tracking": "bb", "image serving": "aa"})
    assert [each.part for each in newer] == ["tracking"]


def test_everything_that_is_refused_is_named_at_once() -> None:
    before, after = {"eks": "1.34", "tracking": "3.18.0"}, {"eks": "1.36", "tracking": "3.17.2"}
    with pytest.raises(RefusedError) as refused:
        refuse(before, after)
    assert "eks 1.34 -> 1.36: " in refused.value.message
    assert "tracking 3.18.0 -> 3.17.2: " in refused.value.message
    assert len((refused.value.hint or "").splitlines()) == 2


REFUSED = [
    ("mlplat", "0.2.0", "0.1.9"),
    ("mlplat", "1.0.0", "0.9.0"),
    ("eks", "1.34", "1.36"),
    ("eks", "1.36", "1.35"),
    ("rds", "18", "17"),
    ("rds", "17.6", "17.5"),
    ("tracking", "3.17.2", "3.17.1"),
    ("metadata", "2.5.1", "2.5.0"),
    ("database", "17.6", "18.1"),
    ("database", "17.6", "16.9"),
    ("karpenter", "0.37.0", "1.14.1"),
    ("karpenter-crd", "0.37.0", "1.14.1"),
    ("gateway-api", "1.7.0", "1.6.1"),
    ("gateway-helm", "1.10.0", "1.9.0"),
    ("external-secrets", "0.16.2", "2.8.0"),
    ("keda", "1.5.0", "2.20.2"),
    ("argo-workflows", "0.47.5", "1.0.18"),
    ("kueue", "0.15.4", "0.19.2"),
]
TAKEN = [
    ("mlplat", "0.1.9", "0.1.2"),
    ("mlplat", "0.1.0", "3.0.0"),
    ("eks", "1.35", "1.36"),
    ("kubernetes", "1.36", "1.35"),
    ("rds", "17.6", "17"),
    ("rds", "16", "18"),
    ("tracking", "2.9.0", "3.17.2"),
    ("metadata", "2.4.0", "2.5.1"),
    ("database", "17.6", "17.5"),
    ("karpenter", "1.0.8", "1.14.1"),
    ("gateway-api", "1.6.1", "1.6.0"),
    ("gateway-helm", "1.9.1", "1.9.0"),
    ("gateway-helm", "1.6.0", "1.9.0"),
    ("external-secrets", "0.17.0", "2.8.0"),
    ("keda", "2.1.0", "2.20.2"),
    ("kueue", "0.16.0", "0.19.2"),
    ("kueue", "0.19.2", "0.18.0"),
]


@pytest.mark.parametrize(("part", "was", "now"), REFUSED)
def test_a_step_that_nobody_supports_is_refused_with_what_to_do_instead(part: str, was: str, now: str) -> None:
    [found] = refusals({part: was}, {part: now})
    assert found.message.startswith(f"{part} {was} -> {now}: ")
    assert found.hint
    assert "{" not in found.hint + found.message


@pytest.mark.parametrize(("part", "was", "now"), TAKEN)
def test_any_other_step_is_taken_and_told(part: str, was: str, now: str) -> None:
    assert refusals({part: was}, {part: now}) == []
    assert [each.part for each in consequences({part: was}, {part: now})] == [part]


def test_each_limit_of_the_table_is_shown_above() -> None:
    limited = {(part, limit) for part, way in WAYS.items() for limit in (way.oldest, way.stride, way.back) if limit}
    assert {part for part, _ in limited} == {part for part, _, _ in REFUSED}
    assert len(limited) <= len(REFUSED)
