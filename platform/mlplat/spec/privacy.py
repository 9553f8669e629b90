"""Which of a model's columns the prediction log does not hold as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pydantic import Field, model_validator

from mlplat.spec.base import Spec


class LoggedColumns(Spec):
    """What the prediction log keeps of a model's columns; everything else is kept as it is."""

    exclude: tuple[str, ...] = Field((), description="Columns that are not written down at all.")
    hash: tuple[str, ...] = Field(
        (),
        description="Columns of which a hash is written down, the same for the same value, with a key that stays on "
        "the platform: rows can be matched by it, and values cannot be guessed from it.",
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if both := sorted(set(self.exclude) & set(self.hash)):
            raise ValueError(f"`{both[0]}` is both excluded and hashed")
        return self

    def unknown(self, columns: Iterable[str]) -> list[str]:
        """Return the names that are none of a model's columns."""
        return sorted({*self.exclude, *self.hash} - set(columns))
