"""A bundle, loaded: the one way from rows to answers, for the server and for the gate that judges what it will serve.

Loading checks everything that can be wrong with a bundle before a request meets it: its digest, its contract, the types
it holds, the versions it was made with, and that it still answers its own examples as it did when it was judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle import KEY_TYPES, BundleError, Column, Contract, Example, Row, read_contract
from mlplat.bundle import digest as digest_of
from mlplat.errors import MlplatError, RefusedError
from mlplat.serving.columns import Columns, InputError, Schema
from mlplat.serving.engines import Engine, brief, open_engine

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_THRESHOLD = 0.5
TOLERANCE = 1e-5
"""Difference, absolute and relative, up to which an answer is the same: float32 and another processor's rounding."""
LARGEST = 1e30
"""Magnitude above which a number may be what a model fails on: its square overflows float32."""


class ModelError(MlplatError):
    """The model has no answer for rows that its contract allows."""


@dataclass(frozen=True)
class Model:
    """A model ready to answer. Safe to use from several threads."""

    folder: Path
    digest: str
    contract: Contract
    schema: Schema
    engine: Engine

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return one score a row of a DataFrame: the positive class's probability, or the value.

        The frame may hold more columns than the contract names. Raises `InputError` for rows that the server would
        refuse, `ModelError` where the model has no finite answer.
        """
        return self.score_columns(self.schema.from_frame(frame))

    def predict(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Answer rows as the server's row route does: `{"label": …, "probability": …}` or `{"value": …}` a row.

        Of a model that may abstain, `abstained` says whether it does, and then the label is None.
        Raises `InputError` and `ModelError`.
        """
        return self.answers(self.score_columns(self.schema.from_rows(list(rows))))

    def score_columns(self, columns: Columns) -> NDArray[np.float64]:
        """Return one score a row of checked columns.

        Raises `InputError` when a number is too large to compute with, `ModelError` when the model has no answer for
        rows that it should have one for.
        """
        try:
            scores = self.engine.score(columns)
        except Exception as error:
            _check_magnitude(columns)
            raise ModelError(f"the model fails on these rows: {type(error).__name__}: {brief(error)}") from error
        if not (math.isfinite(scores[0]) if len(scores) == 1 else np.isfinite(scores).all()):
            _check_magnitude(columns)
            row = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise ModelError(f"rows[{row}]: the model gives no finite answer")
        return scores

    def labels(self, scores: NDArray[np.float64]) -> list[Any]:
        """Return the class of each probability, by the contract's threshold; binary only.

        A row that the model abstains on has one as well: what it would be called by whoever cannot wait.
        """
        threshold = DEFAULT_THRESHOLD if self.contract.threshold is None else self.contract.threshold
        negative, positive = self.contract.classes
        return [positive if hit else negative for hit in (scores >= threshold).tolist()]

    def answers(self, scores: NDArray[np.float64]) -> list[dict[str, Any]]:
        """Write scores as answers, one a row."""
        values = scores.tolist()
        if self.contract.task == "regression":
            return [{"value": value} for value in values]
        labels = self.labels(scores)
        if self.contract.abstain is None:
            return [{"label": label, "probability": value} for label, value in zip(labels, values, strict=True)]
        return [
            {"label": None if left else label, "probability": value, "abstained": left}
            for label, value, left in zip(labels, values, self.abstained(scores).tolist(), strict=True)
        ]

    def abstained(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for which probabilities the model leaves the label to a person."""
        return withheld(self.contract, scores)


def withheld(contract: Contract, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which scores (n) lie in a contract's band of abstention; none where it has none."""
    if (band := contract.abstain) is None:
        return np.zeros(len(scores), dtype=np.bool_)
    return (scores >= band.low) & (scores < band.high)


def _check_magnitude(columns: Columns) -> None:
    for name, array in columns.items():
        if array.dtype == np.float64 and (rows := np.flatnonzero(np.abs(array) > LARGEST)).size:
            raise InputError([f"rows[{rows[0]}].{name}: is too large a number for this model"])


def load(folder: Path, *, digest: str | None = None) -> Model:
    """Load the bundle in `folder` and try it on its examples.

    With a `digest` the folder has to be exactly that. Raises `BundleError` for a bundle that does not hold,
    `RefusedError` for one that is kept out: types not trusted, versions that differ, answers other than were judged.
    """
    found = check_digest(folder, digest)
    contract = check_contract(read_contract(folder))
    model = Model(folder, found, contract, Schema(contract.columns), open_engine(folder, contract))
    check_examples(model)
    return model


def check_digest(folder: Path, expected: str | None) -> str:
    """Return the folder's digest. Raises `RefusedError` when it is not the expected one."""
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such folder")
    found = digest_of(folder)
    if expected not in {None, found}:
        raise RefusedError(
            f"{folder}: holds {found}, not {expected}",
            hint="its files were changed or are incomplete: remove the folder, and it is fetched again",
        )
    return found


def check_contract(contract: Contract) -> Contract:
    """Return a contract whose parts fit each other. Raises `BundleError`."""
    names = [column.name for column in contract.columns]
    if not names or len(set(names)) != len(names):
        raise BundleError(f"contract of `{contract.model}`: columns: must be there, each once")
    if contract.task == "binary" and len(set(contract.classes)) != 2:  # noqa: PLR2004 - binary
        raise BundleError(f"contract of `{contract.model}`: classes: a binary task has two")
    if (band := contract.abstain) is not None:
        limit = DEFAULT_THRESHOLD if contract.threshold is None else contract.threshold
        if contract.task != "binary" or not band.low <= limit <= band.high:
            raise BundleError(
                f"contract of `{contract.model}`: abstain: must be a band around a binary task's threshold"
            )
    if not contract.frame and (odd := [column.name for column in contract.columns if column.type == "string"]):
        raise BundleError(f"contract of `{contract.model}`: columns.{odd[0]}: an array of numbers holds no strings")
    if contract.task == "regression" and any(isinstance(example.prediction, str) for example in contract.examples):
        raise BundleError(f"contract of `{contract.model}`: examples: a regression answers with numbers")
    if problem := next(_look_up_problems(contract), None):
        raise BundleError(f"contract of `{contract.model}`: lookups.{problem}")
    return contract


def _look_up_problems(contract: Contract) -> Iterator[str]:
    """Say what is wrong with a contract's look-ups."""
    if contract.lookups and not contract.features:
        yield f"{contract.lookups[0].group}: a contract with look-ups names its feature service in `features`"
    groups = [each.group for each in contract.lookups]
    yield from (f"{name}: is there twice" for name in set(groups) if groups.count(name) > 1)
    names = [name for each in contract.lookups for name in each.columns]
    for each in contract.lookups:
        if not each.columns or not each.keys:
            yield f"{each.group}: has to have columns and keys"
        for name in each.columns:
            if name not in {column.name for column in contract.columns}:
                yield f"{each.group}.columns: the model has no column `{name}`"
            if names.count(name) > 1:
                yield f"{each.group}.columns: `{name}` is looked up twice"
        yield from (f"{each.group}.keys: {problem}" for key in each.keys if (problem := _key_problem(contract, key)))


def _key_problem(contract: Contract, key: Column) -> str:
    if key.type not in KEY_TYPES:
        return f"`{key.name}` is {key.type}; a key is a whole number or a text"
    if key.name in contract.looked_up:
        return f"`{key.name}` is looked up itself"
    others = (*contract.columns, *(other for each in contract.lookups for other in each.keys))
    if any(other.name == key.name and other.type != key.type for other in others):
        return f"`{key.name}` has another type elsewhere in the contract"
    return ""


def check_examples(model: Model) -> None:
    """Run the contract's examples through the whole path. Raises `RefusedError` when an answer is another one."""
    if not model.contract.examples:
        return
    try:
        scores = model.score_columns(model.schema.from_rows([example.row for example in model.contract.examples]))
    except MlplatError as error:
        raise RefusedError(f"{model.folder}: the model does not answer its own examples: {error.message}") from error
    for index, (example, score) in enumerate(zip(model.contract.examples, scores, strict=True)):
        if not _agrees(model, example, score):
            raise RefusedError(
                f"{model.folder}: examples[{index}]: answers {score:.6g}, and was judged with {example.prediction}",
                hint="it computes something else here than where it was made: train it again with these versions",
            )


def _agrees(model: Model, example: Example, score: np.float64) -> bool:
    wanted = example.prediction
    if isinstance(wanted, float) or model.contract.task == "regression":
        return bool(np.isclose(score, np.float64(wanted), rtol=TOLERANCE, atol=TOLERANCE))
    return bool(model.labels(np.array([score]))[0] == wanted)
