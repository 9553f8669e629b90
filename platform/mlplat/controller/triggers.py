"""Whether a model is to be trained anew without anybody asking: a pure function of what its monitor said and the clock.

All times go by the platform's clock, so that replayed months wait as long as real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from mlplat.controller import schedules
from mlplat.spec.retraining import RetrainingPolicy

MONTH = timedelta(days=30)


class Alarm(BaseModel):
    """Something that is wrong with what a model is asked, or with what it answers."""

    model_config = ConfigDict(frozen=True)

    kind: str
    message: str
    since: AwareDatetime | None = None


class Verdict(BaseModel):
    """What a monitor said of one version behind an endpoint. Keys of a later form are not looked at."""

    model_config = ConfigDict(frozen=True)

    version: int
    endpoint: str
    model_version: str
    time: AwareDatetime
    alarms: tuple[Alarm, ...] = ()
    ripe_until: AwareDatetime | None = None
    """All labels of what was asked before are known; None where too few are, or nothing says how they are found."""
    windows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Serving:
    """The version that serves."""

    version: str
    learned_until: datetime | None
    """When the newest label that it has learned from had become known; None where its rows have no time."""
    since: datetime
    """When it was put behind its endpoint."""


@dataclass(frozen=True)
class Due:
    """A reason to train anew, and whether it may be done now."""

    reason: str
    held: str = ""
    """Why not yet; empty when nothing stands against it."""


def due(
    policy: RetrainingPolicy, now: datetime, serving: Serving, verdict: Verdict | None, begun: Sequence[datetime]
) -> Due | None:
    """Return why the serving version's model is to be trained anew; None when nothing says so.

    `begun` are the times of earlier retrainings, whoever asked for them. A verdict on another version says nothing, and
    neither does one from before the newest retraining: that one was its answer.
    """
    last = max(begun, default=None)
    # A time that a person has set is a person's wish: it counts, and nothing holds it up.
    if timed := _timed(policy, now, serving, last):
        return Due(timed)
    reason = (
        _alarmed(policy, serving, verdict, last)
        or _renewed(policy, serving, verdict, last)
        or _aged(policy, now, serving)
    )
    return Due(reason, _held(policy, now, begun)) if reason else None


def _alarmed(policy: RetrainingPolicy, serving: Serving, verdict: Verdict | None, last: datetime | None) -> str:
    if verdict is None or not _counts(verdict, serving, last):
        return ""
    raised = [alarm for alarm in verdict.alarms if alarm.kind in policy.on]
    return "; ".join(f"{alarm.kind}: {alarm.message}" for alarm in raised)


def _counts(verdict: Verdict, serving: Serving, last: datetime | None) -> bool:
    return verdict.model_version == serving.version and (last is None or verdict.time > last)


def _renewed(policy: RetrainingPolicy, serving: Serving, verdict: Verdict | None, last: datetime | None) -> str:
    if "data" not in policy.on or verdict is None or not _counts(verdict, serving, last):
        return ""
    if verdict.ripe_until is None or serving.learned_until is None:
        return ""
    # Nothing that was asked for after the newest label that it knows can be among what it has learned from.
    new = verdict.ripe_until - serving.learned_until
    if new < timedelta(days=policy.min_new_days):
        return ""
    return f"data: there are labels of {new.days} days that version {serving.version} has not learned from"


def _timed(policy: RetrainingPolicy, now: datetime, serving: Serving, last: datetime | None) -> str:
    if policy.schedule is None:
        return ""
    found = schedules.come(policy.schedule, max(serving.since, last or serving.since), now)
    return f"schedule: {found.time:%Y-%m-%d %H:%M} UTC" if found else ""


def _aged(policy: RetrainingPolicy, now: datetime, serving: Serving) -> str:
    if policy.max_age_days is None or serving.learned_until is None:
        return ""
    age = now - serving.learned_until
    if age <= timedelta(days=policy.max_age_days):
        return ""
    return f"age: version {serving.version} has learned nothing of the last {age.days} days"


def _held(policy: RetrainingPolicy, now: datetime, begun: Sequence[datetime]) -> str:
    free = max(begun, default=now - MONTH) + timedelta(days=policy.cooldown_days)
    if begun and now < free:
        return f"the last one was less than {policy.cooldown_days:g} days ago: not before {free:%Y-%m-%d %H:%M} UTC"
    within = sorted(time for time in begun if time > now - MONTH)
    if len(within) >= policy.monthly:
        again = within[len(within) - policy.monthly] + MONTH
        return (
            f"there were {len(within)} in the last 30 days, and {policy.monthly} are allowed: not before"
            f" {again:%Y-%m-%d %H:%M} UTC"
        )
    return ""
