"""A model as it travels: one folder, known by its digest.

The folder is an MLflow model (so `mlflow.pyfunc.load_model` reads it) with one more file, `mlplat.json`: what the model
takes and gives, what it was made with, and a few rows to try it on. Whoever trains writes it, the gate judges it, the
controller fetches and checks it, the model server serves it; all of them mean exactly the bytes behind one digest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlplat.errors import MlplatError

CONTRACT_FILE = "mlplat.json"

Value = bool | int | float | str | None
"""One cell of a row, as JSON gives it."""
Row = dict[str, Value]


NULL_TEXT, UNKNOWN_TEXT = "\uf8ffnull", "\uf8ffunknown"
"""What stands for a null, and for a text that a model does not know, in an ONNX graph's tensors of strings.

Such a tensor holds no nulls. Neither text is a category of a model that is exported, so a row that really holds
`NULL_TEXT` holds an unknown text: it reaches the graph as `UNKNOWN_TEXT`, and nothing is mistaken for a null.
"""
KEY_TYPES = frozenset({"long", "string"})
"""What a feature store finds rows by (`serialize_entity_key` of Feast)."""


class BundleError(MlplatError, ValueError):
    """A model's folder is not what it should be."""


def _is_empty(value: object) -> bool:
    return not value


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Document):
    """One column that the model takes."""

    name: str
    type: Literal["boolean", "long", "double", "string"]
    nullable: bool = False


class Example(_Document):
    """A real row and what the model answered for it when it was judged."""

    row: Row
    prediction: Annotated[float | int | str, Field(description="Class probability of `classes[1]`, class, or value")]


class LookUp(_Document):
    """Columns that a request may leave out: they are looked up in a feature view, under the row's own keys."""

    group: str
    """The feature view's name; a group of `data.features`."""
    keys: tuple[Column, ...]
    """What the view is asked with; columns of the model, or further ones of the request."""
    columns: tuple[str, ...]
    """Columns of the model that come from the view."""
    ttl_seconds: float = Field(gt=0)
    """Age, by the platform's clock, above which a value counts as unknown."""


class Band(_Document):
    """Probabilities of the positive class for which a model leaves the label to a person."""

    low: float = Field(ge=0, le=1)
    """Of these on, it included."""
    high: float = Field(ge=0, le=1)
    """Up to here, it not included."""


class Explaining(_Document):
    """What a model server explains single answers with."""

    background: str = "background.json"
    """File with rows that the model learned from, `[{column: value, …}, …]`, relative to the folder."""
    budget_ms: float = Field(gt=0)
    """Milliseconds that a row may take: a model that is slower is held against fewer of those rows."""


class Contract(_Document):
    """`mlplat.json`: everything a server needs to know of a model before it loads it."""

    version: Literal[1] = 1
    project: str
    model: str
    task: Literal["binary", "regression"]
    columns: tuple[Column, ...]
    """In the order in which the model takes them."""
    classes: tuple[int | str | bool, ...] = ()
    """The two classes of a binary task, the positive one last; empty for regression."""
    threshold: float | None = None
    """Probability of the positive class from which the label is that class; binary only."""
    format: Literal["skops", "onnx"] = "skops"
    file: str = "model.skops"
    """The model's file, relative to the folder."""
    frame: bool = True
    """Whether the model takes a DataFrame with named columns, as column transformers need, or a plain float array.

    An ONNX graph takes one tensor a column, rows by 1, or one tensor of numbers, rows by columns.
    """
    null_text: str = ""
    """What an ONNX graph takes for a null text, which is `NULL_TEXT`; empty where it knows none."""
    trusted_types: tuple[str, ...] = ()
    """Types beyond skops's own that the file may hold; all of them lie under `sklearn.` or `numpy.`."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Version by package (`python`, `scikit-learn`, `skops`, `numpy` …) of where the model was made."""
    examples: tuple[Example, ...] = ()
    abstain: Band | None = Field(None, exclude_if=_is_empty)
    """The answers without a label; binary only. None, and left out of a document, where every row gets one."""
    explaining: Explaining | None = Field(None, exclude_if=_is_empty)
    """None, and left out of a document, where single answers are not explained."""
    features: str = Field("", exclude_if=_is_empty)
    """Name of the feature service that answers `lookups`."""
    lookups: tuple[LookUp, ...] = Field((), exclude_if=_is_empty)
    """Left out of a document that has none, so that a server which knows nothing of them reads it."""

    @property
    def keys(self) -> dict[str, Column]:
        """What look-ups are asked with, by name."""
        return {key.name: key for each in self.lookups for key in each.keys}

    @property
    def looked_up(self) -> frozenset[str]:
        """Columns that a request may leave out."""
        return frozenset(name for each in self.lookups for name in each.columns)

    @property
    def requested(self) -> dict[str, Column]:
        """What a request has to hold that leaves everything else to look-ups, by name: columns first, then keys."""
        own = {column.name: column for column in self.columns if column.name not in self.looked_up}
        return {**self.keys, **own}


def read_contract(folder: Path) -> Contract:
    """Read a bundle's contract. Raises `BundleError` when it is missing or does not hold."""
    path = folder / CONTRACT_FILE
    try:
        return parse_contract(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise BundleError(
            f"{path}: missing", hint="a model is served from the folder that `mlplat run train` registers"
        ) from error
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error


def parse_contract(content: bytes, source: str) -> Contract:
    """Read the content of a contract that is at `source`. Raises `BundleError` when it does not hold."""
    try:
        return Contract.model_validate_json(content)
    except ValidationError as error:
        first: Any = error.errors()[0]
        raise BundleError(f"{source}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def unsuited(before: Contract, after: Contract) -> list[str]:
    """Say why requests made for one contract do not suit another, which is to share its traffic; empty where they do.

    Such a request holds what `before` has to be asked with, and nothing that it looks up. Whether a column is nullable,
    or of whole numbers, does not count: it follows from the rows that a version happened to learn from.
    """
    given = before.requested
    columns = {column.name: column for column in after.columns}
    needed = [name for name in columns if name not in after.looked_up]
    found: list[str] = []
    for each in after.lookups:
        sent = [name for name in each.columns if name in given]
        if not sent:
            needed += [key.name for key in each.keys]
        found += [f"`{name}` has to come with `{sent[0]}`" for name in each.columns if sent and name not in given]
    found += [f"`{name}` has to be in a request" for name in dict.fromkeys(needed) if name not in given]
    found += [f"`{name}` must not be in a request" for name in given if name not in {*columns, *after.keys}]
    for name, column in {**columns, **after.keys}.items():
        if name in given and _kind(given[name]) != _kind(column):
            found.append(f"`{name}` is {column.type} and was {given[name].type}")
    return found


def _kind(column: Column) -> str:
    return "number" if column.type in {"long", "double"} else column.type


def digest(folder: Path) -> str:
    """Return `sha256:…` over the names and bytes of all files of a bundle.

    It is the SHA-256 of a line a file, `<sha256 of the file>  <path>`, sorted by path: what `sha256sum` prints of them.
    Raises `BundleError` for links and whatever is not a plain file, since they could change behind the digest.
    """
    lines = [f"{_file_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def holds(folder: Path, wanted: str) -> bool:
    """Tell whether a bundle has a digest; one that is damaged or is not there has none."""
    try:
        return digest(folder) == wanted
    except (BundleError, OSError):
        return False


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix())
    if odd := [path for path in found if path.is_symlink() or not (path.is_file() or path.is_dir())]:
        raise BundleError(f"{odd[0]}: a model's folder may hold plain files only")
    if not (files := [path for path in found if path.is_file()]):
        raise BundleError(f"{folder}: holds no files")
    return files


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
