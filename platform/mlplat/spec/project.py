"""What a project team writes: `mlplat.yaml`, one project with one model."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from mlplat.errors import Problem, SpecError
from mlplat.spec.base import Spec, TimeZone, parse, read_text, read_yaml
from mlplat.spec.explanations import ExplanationSpec
from mlplat.spec.features import LiveSpec, OnlineSpec
from mlplat.spec.gate import GateSpec
from mlplat.spec.migrations import PROJECT, newest, refuse_newer, upgrade
from mlplat.spec.monitoring import MonitoringSpec
from mlplat.spec.pipelines import PipelineSpec
from mlplat.spec.platform import Label
from mlplat.spec.preprocessing import PreprocessingSpec
from mlplat.spec.privacy import LoggedColumns
from mlplat.spec.retraining import RetrainingPolicy
from mlplat.spec.rollout import RolloutPolicy
from mlplat.spec.scale import ScaleSpec
from mlplat.spec.search import Family, SearchSpec
from mlplat.spec.sources import BadRowsSpec, Source

VERSION = newest(PROJECT)
Fraction = Annotated[float, Field(gt=0, lt=1)]
VIEW = re.compile("[a-z][a-z0-9_]{0,31}")
VIEW_RULE = "with small letters, digits and `_`, at most 32, beginning with a letter"
"""As the feature store names its tables, beside a project's name, in 63 bytes."""


class FeatureGroup(Spec):
    """Columns that become known together."""

    columns: tuple[str, ...] = Field(description="Names of the columns.")
    known: str | None = Field(
        None, description="Column with the time from which they are known; unset, they are known long before."
    )
    delay_minutes: NonNegativeFloat = Field(0.0, description="Minutes from that time until they can be used.")
    online: OnlineSpec | None = Field(
        None, description="How they are looked up for a request that leaves them out; unset, every request brings them."
    )


class DataSpec(Spec):
    """Where rows come from, and when each part of a row becomes known."""

    source: Source = Field(
        description="`flights`; a path from the project's folder, or a pattern such as `data/*.parquet`, of CSV or "
        "Parquet files; `s3://bucket/prefix`; or `{sql: …}`."
    )
    target: str = Field(description="Column that is predicted.")
    time: str | None = Field(None, description="Column with the time that a row is about; unset, rows have no time.")
    timezone: TimeZone = Field("UTC", description="Zone in which days begin, and in which dates without one are read.")
    lead_hours: NonNegativeFloat = Field(
        0.0, description="Hours before `time` at which the prediction is asked for: what is known later is no feature."
    )
    label_time: str | None = Field(
        None, description="Column with the time from which the label ripens; unset, it is `time`."
    )
    label_horizon_hours: NonNegativeFloat = Field(
        0.0, description="Hours after `label_time` until the label is certainly known."
    )
    lookback_hours: NonNegativeFloat = Field(
        0.0,
        description="Hours before `time` of the oldest other rows that a row's features are made of, such as sums over "
        "the last days: what is larger than memory is then built a part of time after the other, each with so much "
        "before it.",
    )
    group: str | None = Field(
        None, description="Without `time`: column whose rows stay on one side of a split, such as a customer."
    )
    features: dict[str, FeatureGroup] = Field(
        default={}, description="Groups of columns by name; none at all means every column that has no other part."
    )
    refused: tuple[str, ...] = Field((), description="Columns that are known only afterwards, and never features.")
    keys: tuple[str, ...] = Field(
        (),
        description="Columns that say whom or what a row is about, such as a customer: never features; `mlplat data "
        "diff` compares rows by them, and `mlplat data erase` finds them by one.",
    )
    bad_rows: BadRowsSpec = Field(BadRowsSpec(), description="What becomes of rows that do not hold to the schema.")
    reviewed_share: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.1,
        description="Most that rows which people labelled (`mlplat data review`) may be of those that are learned "
        "from, the newest; 0 uses none.",
    )
    keep_snapshots: NonNegativeInt = Field(
        20, description="Training sets whose rows are kept, the newest ones; 0 keeps them while a run goes on."
    )

    @property
    def origin(self) -> str:
        """Return the source as messages name it."""
        return self.source if isinstance(self.source, str) else f"the query on `{self.source.sql.url_env}`"

    @property
    def online(self) -> dict[str, FeatureGroup]:
        """Return the groups that are looked up, by name."""
        return {name: group for name, group in self.features.items() if group.online}

    @property
    def _timed(self) -> bool:
        known = any(group.known for group in self.features.values())
        return bool(self.lead_hours or self.lookback_hours or self.label_time or known)

    @model_validator(mode="after")
    def _columns_have_one_part(self) -> Self:
        named = Counter(column for group in self.features.values() for column in group.columns)
        if twice := [column for column, count in named.items() if count > 1]:
            raise ValueError(f"features: `{twice[0]}` is in two groups")
        for part, columns in (("target", [self.target]), ("refused", self.refused), ("keys", self.keys)):
            if leaked := [column for column in columns if column in named]:
                raise ValueError(f"features: `{leaked[0]}` is {part} as well, so it cannot be a feature")
        if self.time is None and self._timed:
            raise ValueError("lead_hours, lookback_hours, label_time and features.known need `time`")
        if self.time is not None and self.group is not None:
            raise ValueError("group is for rows without `time`; with it the split is by time")
        return self

    @model_validator(mode="after")
    def _what_is_looked_up_can_be(self) -> Self:
        if self.online and self.time is None:
            raise ValueError("features.online needs `time`: without it no value has an age")
        found = {column: name for name, group in self.online.items() for column in group.columns}
        for name, group in self.online.items():
            if not VIEW.fullmatch(name):
                raise ValueError(f"features.{name}.online: a group that is looked up is named {VIEW_RULE}")
            for key in group.online.keys if group.online else ():
                if key in found:
                    raise ValueError(f"features.{name}.online.keys: `{key}` is itself looked up, in `{found[key]}`")
                if key == self.target or key in self.refused:
                    raise ValueError(f"features.{name}.online.keys: `{key}` is known only afterwards")
        return self


class SplitSpec(Spec):
    """How rows are divided: training, then calibration, then the hold-out that judges."""

    holdout_days: Annotated[int, Field(ge=28)] = Field(
        28, description="Days of the hold-out, the last ones whose labels are ripe; fewer than 28 say too little."
    )
    calibration_days: PositiveInt = Field(14, description="Days before the hold-out that probabilities are fitted on.")
    train_days: PositiveInt | None = Field(
        None, description="Days before those that the model learns from; unset, all there are."
    )
    holdout_fraction: Fraction = Field(0.2, description="Without time: share of the rows in the hold-out.")
    calibration_fraction: Fraction = Field(0.15, description="Without time: share of the rows for calibration.")

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.holdout_fraction + self.calibration_fraction >= 0.9:  # noqa: PLR2004 - a tenth is little enough
            raise ValueError("holdout_fraction and calibration_fraction leave less than a tenth to learn from")
        return self


class TrainingSpec(Spec):
    """The model."""

    family: Family = Field(
        "gradient_boosting", description="Kind of model; `linear` is logistic regression, or ridge for numbers."
    )
    trees: Annotated[int, Field(ge=1, le=5000)] = Field(150, description="Trees of a boosted model or a forest.")
    leaves: Annotated[int, Field(ge=2, le=4096)] = Field(15, description="Most leaves of a boosted tree.")
    learning_rate: Annotated[float, Field(gt=0, le=1)] = Field(0.1, description="Weight of each boosted tree.")
    min_leaf_rows: PositiveInt = Field(20, description="Fewest rows in a leaf.")
    sample: Annotated[float, Field(gt=0, le=1)] = Field(
        0.2, description="Share of the rows that each tree of a forest sees."
    )
    max_features: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Share of the columns each split may look at; unset, the kind of model decides."
    )
    penalty: Annotated[float, Field(gt=0)] = Field(
        1.0, description="`linear`: weight of the penalty on squared coefficients."
    )
    rare_rows: PositiveInt = Field(50, description="A category with fewer rows is treated as one never seen.")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Seed of everything that is random.")
    preprocessing: PreprocessingSpec = Field(
        PreprocessingSpec(), description="How columns are prepared, inside the model's pipeline."
    )

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Return these settings with some keys, written with dots, set otherwise. Raises `ValueError`."""
        plain = self.model_dump(mode="json")
        for path, value in values.items():
            _set(plain, path, value)
        return type(self).model_validate_json(json.dumps(plain))


class CostSpec(Spec):
    """What mistakes cost: it sets the threshold from which a probability becomes a label; binary only."""

    missed: Annotated[float, Field(gt=0)] = Field(1.0, description="Cost of a positive that was not called one.")
    false_alarm: Annotated[float, Field(gt=0)] = Field(1.0, description="Cost of a negative that was called positive.")
    review: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Cost of a person's look at a row. The model then leaves a row to one where its own mistake is "
        "expected to cost more; unset, it labels every row.",
    )

    @model_validator(mode="after")
    def _a_review_may_pay(self) -> Self:
        dearest = self.missed * self.false_alarm / (self.missed + self.false_alarm)
        if self.review is not None and self.review >= dearest:
            raise ValueError(f"review: no label is expected to cost more than {dearest:.4g}: a review would never pay")
        return self


class AbstainSpec(Spec):
    """Probabilities of the positive class for which the answer has no label."""

    low: Fraction = Field(description="From here on; below it, a row is called negative.")
    high: Fraction = Field(description="Up to here; from it on, a row is called positive.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class FormatSpec(Spec):
    """How the model is served."""

    format: Literal["auto", "onnx", "skops"] = Field(
        "auto",
        description="`onnx` is many times faster and must answer as the trained model does; `skops` is scikit-learn's "
        "own. `auto` takes ONNX where it can and says why where it cannot; with `onnx`, such a model is refused.",
    )
    abstain: AbstainSpec | None = Field(
        None, description="Answers without a label, given outright; unset, they follow from `cost.review`. Binary only."
    )
    scale: ScaleSpec = Field(ScaleSpec(), description="Model servers on a cluster, and what each is given.")


class ProjectSpec(Spec):
    """A project: its data, its model, and what the model must show."""

    version: Literal[1] = Field(1, description="Version of this document's form.")
    project: Label = Field(description="Name of the project.")
    platform: Label = Field("mlplat", description="Name of the platform that it runs on.")
    model: Label = Field(description="Name of the model; on the platform it is `project/model`.")
    task: Literal["binary", "regression"] = Field(description="Whether one of two classes or a number is predicted.")
    data: DataSpec = Field(description="Where rows come from, and when each part of a row becomes known.")
    live: LiveSpec = Field(LiveSpec(), description="Events that features of the last hours are made of.")
    split: SplitSpec = Field(SplitSpec(), description="How rows are divided.")
    training: TrainingSpec = Field(TrainingSpec(), description="The model.")
    search: SearchSpec = Field(SearchSpec(), description="How the model's settings are chosen.")
    cost: CostSpec = Field(CostSpec(), description="What mistakes cost.")
    gate: GateSpec = Field(GateSpec(), description="What a model must show.")
    explanations: ExplanationSpec = Field(ExplanationSpec(), description="How a run explains its model.")
    serving: FormatSpec = Field(FormatSpec(), description="How the model is served.")
    prediction_log: LoggedColumns = Field(
        LoggedColumns(), description="What the log of predictions keeps of the model's columns."
    )
    rollout: RolloutPolicy = Field(RolloutPolicy(), description="How a new version takes over an endpoint's traffic.")
    monitoring: MonitoringSpec = Field(
        MonitoringSpec(), description="When a change of what an endpoint is asked, or of how right it is, is an alarm."
    )
    retraining: RetrainingPolicy = Field(
        RetrainingPolicy(), description="When the platform trains the model anew by itself."
    )
    pipelines: dict[Label, PipelineSpec] = Field(
        {}, description="Flows by name, for clusters: when they run, and what their steps are given."
    )

    @model_validator(mode="after")
    def _only_classes_are_left_to_a_person(self) -> Self:
        named = {
            "serving.abstain": self.serving.abstain,
            "cost.review": self.cost.review,
            "gate.min_coverage": self.gate.min_coverage,
        }
        if self.task != "binary" and (key := next((key for key, value in named.items() if value), None)):
            raise ValueError(f"{key}: a {self.task} has no label to leave to a person")
        return self

    @model_validator(mode="after")
    def _what_is_searched_is_possible(self) -> Self:
        for key, space in self.search.space.items():
            if key in ("family", "seed"):
                raise ValueError(f"search.space: `{key}` is no setting to search; `search` has `families` and `seeds`")
            for value in space.ends():
                try:
                    self.training.changed({key: value})
                except ValueError as error:
                    raise ValueError(f"search.space: `training.{key}` cannot be {json.dumps(value)}") from error
        return self


def read(path: Path) -> ProjectSpec:
    """Read a project's mlplat.yaml. Raises `SpecError` with every problem."""
    source = path.name
    document = read_yaml(read_text(path), source)
    if not isinstance(document, dict):
        raise SpecError(source, [Problem("", "holds no keys", f"begin with `version: {VERSION}`")])
    refuse_newer(document, PROJECT, source)
    upgrade(document, PROJECT)
    return parse(ProjectSpec, document, source, document=document, command="mlplat explain --project")


def override(spec: ProjectSpec, values: Mapping[str, Any]) -> ProjectSpec:
    """Return a project with some keys, written with dots, set otherwise. Raises `SpecError` with every problem."""
    plain = spec.model_dump(mode="json")
    for path, value in values.items():
        _set(plain, path, value)
    return parse(ProjectSpec, plain, "--set", command="mlplat explain --project")


def _set(plain: dict[str, Any], path: str, value: Any) -> None:
    *groups, key = path.split(".")
    place: Any = plain
    for group in groups:
        place = place.setdefault(group, {})
        if not isinstance(place, dict):
            raise SpecError("--set", [Problem(path, f"is no key: `{group}` has none below it")])
    place[key] = value
