"""What a project may say of its flows on a cluster."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from mlplat.spec.pipelines import PipelineSpec, ScheduleSpec, StepSpec
from mlplat.spec.retraining import RetrainingPolicy


@pytest.mark.parametrize("line", ["30 4 * * mon", "*/5 * * * *", "0 0,12 1-7 JAN-MAR sun"])
def test_five_fields_are_a_time(line: str) -> None:
    assert ScheduleSpec(cron=[line]).cron == [line]


@pytest.mark.parametrize("line", ["@daily", "30 4 * *", "0 30 4 * * mon", "a b", ""])
def test_whatever_clusters_read_differently_is_refused_with_an_example(line: str) -> None:
    with pytest.raises(ValidationError, match="five fields, as in `30 4"):
        ScheduleSpec(cron=[line])


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="`Mars/Base` is no time zone"):
        ScheduleSpec(cron=["30 4 * * mon"], timezone="Mars/Base")


def test_gpus_are_those_of_a_pool() -> None:
    with pytest.raises(ValidationError, match="`pool` is required with `gpu`"):
        StepSpec(gpu=1)


def test_a_step_that_is_not_named_gets_what_every_step_gets() -> None:
    spec = PipelineSpec(default=StepSpec(cpu=2.0), steps={"train": StepSpec(cpu=8.0)})
    assert (spec.step("train").cpu, spec.step("gate").cpu) == (8.0, 2.0)


@pytest.mark.parametrize(
    "given",
    [{"on": ["schedule"]}, {"schedule": {"cron": ["30 4 * * mon"]}}, {"on": ["age"]}],
    ids=["schedule", "times", "age"],
)
def test_a_trigger_and_what_it_goes_by_belong_together(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="belong together"):
        RetrainingPolicy.model_validate_json(json.dumps(given))
    whole = {"on": ["schedule", "data"], "schedule": {"cron": ["30 4 * * mon"]}}
    assert RetrainingPolicy.model_validate_json(json.dumps(whole)).min_new_days == 7
