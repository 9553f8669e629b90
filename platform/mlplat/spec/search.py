"""What a project says of how settings are chosen: by cross-validation over blocks of time, and a search over it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from mlplat.spec.base import Spec

Family = Literal["gradient_boosting", "random_forest", "linear"]
FOLDS = 4
"""Folds where a search or a refit with other seeds needs some and none are given: a week each in a quarter of data."""


class RangeSpec(Spec):
    """Values that one setting may take: between two ends, or one of a few."""

    low: int | float | None = Field(None, description="Least value.")
    high: int | float | None = Field(None, description="Greatest value.")
    log: bool = Field(False, description="Whether values are drawn evenly over their logarithm: ends above 0.")
    choices: tuple[int | float | str | bool | None, ...] = Field((), description="The values, instead of two ends.")

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.choices and (self.low is not None or self.high is not None or self.log):
            raise ValueError("`choices` stands alone: `low`, `high` and `log` are for a range")
        if not self.choices and (self.low is None or self.high is None):
            raise ValueError("give `low` and `high`, or `choices`")
        if self.low is not None and self.high is not None and (self.low > self.high or (self.log and self.low <= 0)):
            raise ValueError("`low` must not be above `high`, and must be above 0 with `log`")
        return self

    def ends(self) -> tuple[int | float | str | bool | None, ...]:
        """Return the values that have to be possible for all of them to be."""
        return self.choices or (self.low, self.high)


class SearchSpec(Spec):
    """How settings are chosen. Nothing is searched by default: `training` says what is fitted."""

    trials: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0, description="Settings that are tried, of each family; the first are those of `training`. 0 searches nothing."
    )
    families: tuple[Family, ...] = Field(
        (), description="Kinds of model that are tried on the same folds; unset, that of `training`."
    )
    folds: Annotated[int, Field(ge=2, le=20)] | None = Field(
        None,
        description="Folds of the cross-validation, one after another in time; unset, 4 where `trials` or `seeds` need "
        "some, otherwise none.",
    )
    seeds: NonNegativeInt = Field(
        0,
        description="Seeds with which the chosen settings are fitted on each fold, 2 or more, to say what chance does.",
    )
    shards: PositiveInt = Field(
        1,
        description="Parts into which each family's trials are divided, each searching by itself: processes on one "
        "computer, pods on a cluster. More are faster, and learn less from each other.",
    )
    seconds: PositiveFloat | None = Field(
        None, description="Seconds after which a shard begins no other trial; unset, it tries all."
    )
    space: dict[str, RangeSpec] = Field(
        {},
        description="What is searched, by key of `training` (`leaves`, `preprocessing.encode`), in place of the usual "
        "range or besides it.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.seeds == 1:
            raise ValueError("seeds: one seed has no spread; give 2 or more, or 0")
        if len(set(self.families)) < len(self.families):
            raise ValueError("families: one is given twice")
        return self

    @property
    def folds_wanted(self) -> int:
        """Return how many folds are made; 0 for none."""
        return self.folds if self.folds is not None else FOLDS if self.trials or self.seeds else 0
