"""Two sets of versions compared: what follows from the difference, and what of it nobody supports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlplat.errors import RefusedError
from mlplat.upgrades.parts import IMAGE, numbers
from mlplat.upgrades.ways import KINDS, Kind, Way, way

Versions = Mapping[str, str]
"""Version of each part."""
MINOR = 2
"""Numbers that make a minor version."""


@dataclass(frozen=True)
class Consequence:
    """What another version of one part does."""

    part: str
    was: str
    now: str
    kind: Kind
    why: str

    def __str__(self) -> str:
        return f"{self.kind:10}{self.part}  {self.was} -> {self.now}: {self.why}"


@dataclass(frozen=True)
class Refusal:
    """Why one part cannot go from one version to another, and what to do instead."""

    message: str
    hint: str


def consequences(before: Versions, after: Versions) -> list[Consequence]:
    """Return what the versions in which two sets differ do, the gravest first; of parts that both have."""
    found = [Consequence(part, was, now, way(part).kind, way(part).why) for part, was, now in _changed(before, after)]
    return sorted(found, key=lambda each: (KINDS.index(each.kind), each.part))


def refusals(before: Versions, after: Versions) -> list[Refusal]:
    """Return the steps from one set of versions to another that nobody supports, by their parts' names."""
    found = ((part, was, now, _limit(way(part), was, now)) for part, was, now in _changed(before, after))
    return [
        Refusal(f"{part} {was} -> {now}: {limit[0]}", limit[1].format(part=part, was=was, now=now))
        for part, was, now, limit in found
        if limit
    ]


def refuse(before: Versions, after: Versions) -> None:
    """Raise `RefusedError` that names every step that nobody supports, and what to do instead."""
    if found := refusals(before, after):
        hints = dict.fromkeys(each.hint for each in found)
        raise RefusedError("\n".join(each.message for each in found), hint="\n".join(hints))


def _changed(before: Versions, after: Versions) -> Iterator[tuple[str, str, str]]:
    names = sorted(name for name in {*before} & {*after} if before[name] != after[name])
    for name in names:
        # A new version comes in a new image, which says nothing more.
        if name.removeprefix(IMAGE) not in names or not name.startswith(IMAGE):
            yield name, before[name], after[name]


def _limit(on: Way, was: str, now: str) -> tuple[str, str] | None:
    """Return why a step is refused, and what to do instead; None where it is not."""
    size = min(len(numbers(was)), len(numbers(now)))
    # `17` is any of 17: as many numbers are compared as both have.
    old, new = numbers(was)[:size], numbers(now)[:size]
    if on.back and new < old and (on.kind == "migrates" or new[:MINOR] < old[:MINOR]):
        return on.back
    if on.oldest and old < numbers(on.oldest.version) <= new:
        return on.oldest.why, on.oldest.instead
    if on.stride and _apart(on.stride.by, old, new):
        return on.stride.why, on.stride.instead
    return None


def _apart(by: str, old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    if by == "major":
        return old[:1] != new[:1]
    return new[:1] != old[:1] or (len(new) >= MINOR and new[1] > old[1] + 1)
