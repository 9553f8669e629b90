"""The figures that `mlplat.controller.decision` promises, by simulation."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass, field
from statistics import NormalDist, median

import pytest

from mlplat.controller.decision import decide
from mlplat.controller.window import Window
from mlplat.services.gateway import BUCKETS_MS
from mlplat.spec.rollout import RolloutPolicy

LOOK = 50
"""Requests of the challenger between two judgements."""
SHARE = 9
"""Requests of the champion for one of the challenger: a step of 10 %."""
SPREAD = 0.5
"""Standard deviation of the logarithm of the response time."""
POLICY = RolloutPolicy()
LONG_ENOUGH = 60.0


@dataclass
class Arm:
    """A version that answers at random."""

    random: random.Random
    errors: float
    milliseconds: float
    """Median response time."""
    window: Window = field(default_factory=Window)

    def __post_init__(self) -> None:
        normal = NormalDist(math.log(self.milliseconds), SPREAD)
        self._reached = [normal.cdf(math.log(edge)) for edge in BUCKETS_MS]

    def answer(self, requests: int) -> None:
        """Answer requests, each on its own."""
        found = Counter(bisect.bisect_left(self._reached, self.random.random()) for _ in range(requests))
        within = itertools.accumulate(found[index] for index in range(len(BUCKETS_MS)))
        errors = sum(self.random.random() < self.errors for _ in range(requests)) if self.errors else 0
        buckets = tuple(zip(map(float, BUCKETS_MS), within, strict=True))
        self.window += Window(requests=requests, errors=errors, timed=requests, buckets=buckets)


def verdict(seed: int, champion: tuple[float, float], challenger: tuple[float, float], most: int) -> tuple[str, int]:
    """Return what a first step comes to, and after how many requests of the challenger."""
    rng = random.Random(seed)
    old, new = Arm(rng, *champion), Arm(rng, *challenger)
    while new.window.requests < most:
        old.answer(SHARE * LOOK)
        new.answer(LOOK)
        judgement = decide(old.window, new.window, POLICY, LONG_ENOUGH)
        if judgement.verdict != "continue":
            return judgement.verdict, new.window.requests
    return "continue", most


def verdicts(
    rollouts: int, champion: tuple[float, float], challenger: tuple[float, float], most: int
) -> list[tuple[str, int]]:
    return [verdict(seed, champion, challenger, most) for seed in range(rollouts)]


@pytest.mark.parametrize("errors", [0.001, 0.05])
def test_an_equally_good_version_is_hardly_ever_breached(errors: float) -> None:
    found = Counter(name for name, _ in verdicts(60, (errors, 20.0), (errors, 20.0), most=1500))
    assert found["breach"] <= 60 * (1 - POLICY.confidence)


@pytest.mark.parametrize(
    ("challenger", "at_most"), [((0.05, 5.0), 1000), ((0.0, 60.0), 1500)], ids=["5 % failing", "3 times slower"]
)
def test_a_bad_version_is_found_within_a_bounded_number_of_requests(
    challenger: tuple[float, float], at_most: int
) -> None:
    champion = (0.0, 5.0) if challenger[0] else (0.0, 20.0)
    found = verdicts(30, champion, challenger, most=at_most)
    assert {name for name, _ in found} == {"breach"}


def test_a_version_beyond_the_tolerance_never_passes() -> None:
    found = Counter(name for name, _ in verdicts(30, (0.001, 5.0), (0.021, 5.0), most=1500))
    assert found["advance"] <= 30 * (1 - POLICY.confidence)


def test_a_good_version_passes_its_first_step_within_a_thousand_requests() -> None:
    requests = [count for name, count in verdicts(20, (0.0, 5.0), (0.0, 5.0), most=1000) if name == "advance"]
    assert len(requests) == 20
    assert median(requests) <= 600
