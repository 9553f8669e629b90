"""What a project says of how columns are prepared inside the model's own pipeline."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from mlplat.spec.base import Spec

Share = Annotated[float, Field(ge=0, le=1)]


class WinsorSpec(Spec):
    """Between which quantiles of the training rows numbers are kept."""

    low: Share = Field(0.005, description="Quantile below which a number counts as that quantile.")
    high: Share = Field(0.995, description="Quantile above which a number counts as that quantile.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("`low` must be below `high`")
        return self


class SelectionSpec(Spec):
    """Which columns are left out, judged on the training rows alone. The run says which went, and why."""

    constant: bool = Field(False, description="Whether a column with one value only is left out.")
    duplicate: bool = Field(False, description="Whether a column that equals an earlier one is left out.")
    max_missing: Share | None = Field(None, description="Largest share of nulls; unset, any.")
    max_correlation: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Largest correlation of ranks, in size, with an earlier column of numbers; unset, any."
    )


class PreprocessingSpec(Spec):
    """How columns are prepared. `auto` is what suits the family: trees take numbers as they are."""

    impute: Literal["auto", "none", "median", "mean"] = Field(
        "auto", description="What stands for a missing number; `auto` is `median` for `linear` and `none` for trees."
    )
    indicator: bool = Field(True, description="Where numbers are imputed: whether a column tells which were missing.")
    winsorize: WinsorSpec | None = Field(
        None, description="Numbers beyond these quantiles are cut to them; unset, none are."
    )
    scale: Literal["auto", "none", "standard", "robust"] = Field(
        "auto",
        description="How numbers are scaled: to mean 0 and deviation 1, or by median and quartiles; `auto` is "
        "`standard` for `linear` and `none` for trees.",
    )
    encode: Literal["auto", "one_hot", "ordinal", "target"] = Field(
        "auto",
        description="What becomes of texts, unseen ones included: a column each, a number each, or the target's mean "
        "by text, of other rows than the one at hand; `auto` is `one_hot` for `linear` and `ordinal` for trees.",
    )
    smooth: PositiveFloat | None = Field(
        None, description="`encode: target`: rows of the overall mean that each text begins with; unset, by variance."
    )
    select: SelectionSpec = Field(SelectionSpec(), description="Which columns are left out.")
