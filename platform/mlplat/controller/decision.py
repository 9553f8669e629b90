"""Whether a challenger may go on: a pure function of what both revisions answered, a policy and the time.

Two questions, both asked with intervals that hold at every look (`mlplat.controller.confidence`): by how much may the
share of errors have grown, and may a quantile of the response time lie above what the champion's allows. A breach needs
evidence that a limit is passed; the next step needs evidence that none is. In between, more requests are waited for.

With `confidence` c and S steps, each bound of a breach is taken at (1 - c) / (4 S): two questions, two revisions, S
steps. So an equally good version is ever breached with a probability of at most 1 - c over the whole rollout. To be
promoted, a version has to pass every step, so each bound of a pass is taken at (1 - c) / 2: a version worse than a
limit is promoted with a probability of at most 1 - c.

Operating curve of the defaults in a first step of 10 %, judged every 50 requests of the challenger, 200 simulated
rollouts each (`tests/unit/controller/test_operating_curve.py`; times are log-normal, "20 ms" is the champion's median;
requests are the challenger's until the verdict, median and 90th percentile):

    challenger                        advance  breach  open after 6,000   requests
    equal, no errors, 5 ms              200       0            0           550    550
    equal, 0.1 % errors, 5 ms           200       0            0           550  1,050
    equal, 1 % errors, 20 ms            197       0            3         2,500  4,400
    equal, no errors, 40 ms             200       0            0           550    550
    1 point more errors (the limit)       0       0          200             -      -
    2 points more errors                  0     197            3         2,700  4,700
    3 % errors instead of 0.1 %           0     200            0           900  1,650
    5 % errors instead of 0.1 %           0     200            0           350    550
    10 % errors instead of 0.1 %          0     200            0           150    200
    2 times 20 ms (at the limit)          0       0          200             -      -
    2.5 times 20 ms                       0     200            0           750  1,650
    3 times 20 ms                         0     200            0           200    350
    3 times 50 ms                         0     200            0           100    150
    3 times 5 ms (within the slack)       0       0          200             -      -
    5 times 5 ms                          0     200            0           250    400
    10 times 5 ms                         0     200            0            50     50

At 300 requests a second, 550 of the challenger's take 18 s at 10 %; the steps of 50 and 100 % take their shortest 5 s.

The intervals assume that requests fail, and are slow, independently of each other. A burst that hits both revisions
alike is forgiven by the comparison; one that hits the challenger alone counts against it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlplat.controller.confidence import quantile_interval, share_interval
from mlplat.controller.document import Figures, Judgement, Range
from mlplat.controller.window import Window
from mlplat.spec.rollout import RolloutPolicy

QUESTIONS = 2
REVISIONS = 2


@dataclass(frozen=True)
class _Reading:
    """Both questions, answered at one level of confidence."""

    figures: Figures
    policy: RolloutPolicy

    @property
    def fails_more(self) -> bool:
        return self.figures.error_increase.low > self.policy.max_error_increase

    @property
    def fails_no_more(self) -> bool:
        high = self.figures.error_increase.high
        return high is not None and high <= self.policy.max_error_increase

    @property
    def is_slower(self) -> bool:
        allowed = self.figures.latency_limit.high
        return allowed is not None and self.figures.challenger_latency.low >= allowed

    @property
    def is_no_slower(self) -> bool:
        high = self.figures.challenger_latency.high
        return high is not None and high <= self.figures.latency_limit.low


def decide(champion: Window, challenger: Window, policy: RolloutPolicy, elapsed: float) -> Judgement:
    """Judge one step of a rollout `elapsed` seconds after it began."""
    breach = _read(champion, challenger, policy, breach_level(policy))
    # The first requests of a fresh process pay for its warming up: slow ones wait for the step's shortest time.
    is_slower = breach.is_slower and elapsed >= policy.min_seconds
    if breach.fails_more or is_slower:
        reason = _breach_reason(breach, is_slower=is_slower)
        return Judgement(verdict="breach", reason=reason, figures=breach.figures)
    reading = _read(champion, challenger, policy, pass_level(policy))
    missing = _missing(reading, challenger, elapsed)
    if not missing:
        return Judgement(verdict="advance", reason="within the limits", figures=reading.figures)
    if elapsed >= policy.step_timeout_seconds:
        reason = f"undecided after {elapsed:.0f} s: {missing}"
        return Judgement(verdict="inconclusive", reason=reason, figures=reading.figures)
    return Judgement(verdict="continue", reason=missing, figures=reading.figures)


def breach_level(policy: RolloutPolicy) -> float:
    """Return the probability with which one bound of a breach may be wrong in one step."""
    return (1 - policy.confidence) / (QUESTIONS * REVISIONS * len(policy.steps))


def pass_level(policy: RolloutPolicy) -> float:
    """Return the probability with which one bound of a pass may be wrong."""
    return (1 - policy.confidence) / REVISIONS


def _read(champion: Window, challenger: Window, policy: RolloutPolicy, alpha: float) -> _Reading:
    before = share_interval(champion.errors, champion.requests, alpha)
    after = share_interval(challenger.errors, challenger.requests, alpha)
    old = quantile_interval(champion, policy.latency_quantile, alpha)
    new = quantile_interval(challenger, policy.latency_quantile, alpha)
    figures = Figures(
        champion_requests=champion.requests,
        champion_errors=champion.errors,
        challenger_requests=challenger.requests,
        challenger_errors=challenger.errors,
        champion_error_share=Range(low=before[0], high=before[1]),
        challenger_error_share=Range(low=after[0], high=after[1]),
        error_increase=Range(low=after[0] - before[1], high=after[1] - before[0]),
        quantile=policy.latency_quantile,
        champion_latency=Range(low=old[0], high=old[1]),
        challenger_latency=Range(low=new[0], high=new[1]),
        latency_limit=Range(low=_allowed(old[0], policy), high=None if old[1] is None else _allowed(old[1], policy)),
    )
    return _Reading(figures, policy)


def _allowed(latency: float, policy: RolloutPolicy) -> float:
    return latency * (1 + policy.max_latency_increase) + policy.latency_slack_ms


def _missing(reading: _Reading, challenger: Window, elapsed: float) -> str:
    """Say what an advance still lacks; nothing when it lacks nothing."""
    policy, figures = reading.policy, reading.figures
    if challenger.requests < policy.min_requests:
        return f"{challenger.requests} of at least {policy.min_requests} requests"
    if not figures.champion_requests:
        return "the champion answered no request to compare with"
    if not reading.fails_no_more:
        return (
            f"errors may have grown by up to {_percent(figures.error_increase.high)}, "
            f"allowed is {_percent(policy.max_error_increase)}: more requests are needed to tell"
        )
    if not reading.is_no_slower:
        return (
            f"{_quantile(figures.quantile)} is {span(figures.challenger_latency)}, allowed is at least "
            f"{figures.latency_limit.low:.0f} ms: more requests are needed to tell"
        )
    if elapsed < policy.min_seconds:
        return f"{elapsed:.1f} of at least {policy.min_seconds:.1f} s"
    return ""


def _breach_reason(reading: _Reading, *, is_slower: bool) -> str:
    figures, policy = reading.figures, reading.policy
    reasons = []
    if reading.fails_more:
        reasons.append(
            f"errors grew by at least {_percent(figures.error_increase.low)}, "
            f"allowed is {_percent(policy.max_error_increase)}: "
            f"{figures.challenger_errors} of {figures.challenger_requests} requests failed, "
            f"the champion's {figures.champion_errors} of {figures.champion_requests}"
        )
    if is_slower:
        reasons.append(
            f"{_quantile(figures.quantile)} is {span(figures.challenger_latency)}, the champion's "
            f"{span(figures.champion_latency)}, which allows {figures.latency_limit.high:.0f} ms"
        )
    return "; ".join(reasons)


def span(latency: Range) -> str:
    """Write an interval of milliseconds."""
    if latency.high is None:
        return f"above {latency.low:g} ms"
    return f"between {latency.low:g} and {latency.high:g} ms"


def _quantile(quantile: float) -> str:
    return f"p{quantile * 100:g}"


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.2f} %"
