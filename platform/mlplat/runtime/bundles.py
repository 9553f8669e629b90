"""Writing a model down once: the folder that is judged, registered and served."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlplat.archive import extract
from mlplat.bundle import CONTRACT_FILE, NULL_TEXT, Column, Contract, Example, Row, Value
from mlplat.errors import RefusedError, UsageError
from mlplat.runtime.evenly import evenly

if TYPE_CHECKING:
    from mlplat.serving.model import Model

RECORDED = ("scikit-learn", "skops", "numpy", "pandas", "mlflow-skinny")
"""Packages whose version a contract records; the first two must be the server's."""
RECORDED_OF_GRAPHS = ("onnx", "onnxruntime")
"""Those that the contract of a graph records besides."""
GRAPH_FILE = "model.onnx"
UNSEEN = "unseen"
EXAMPLES = 5
BACKGROUND = 64
"""Rows that a single answer is held against: each costs its time, and four times as many halve the error."""


def write(
    folder: Path, estimator: Any, contract: Contract, rows: pd.DataFrame, learned: pd.DataFrame | None = None
) -> Model:
    """Write a fitted estimator as a bundle at `folder`, and return it loaded back from there.

    `rows` are real ones (n × columns); a few of them, nulls and a category never seen among them, become the contract's
    examples with what the model answers. Of those that it `learned` from, a contract that explains single answers takes
    its background. Raises `RefusedError` for an estimator that holds foreign types.
    """
    trusted = trusted_types(estimator)
    _save(folder, estimator, trusted, rows[[column.name for column in contract.columns]])
    if contract.explaining and learned is not None:
        (folder / contract.explaining.background).write_bytes(background(learned, contract))
    made_with = {"python": _python(), **{name: metadata.version(name) for name in RECORDED}}
    contract = contract.model_copy(update={"trusted_types": tuple(trusted), "environment": made_with})
    return _answered(folder, contract, examples(rows, contract))


def with_graph(folder: Path, written: Model, graph: bytes) -> Model:
    """Write a copy of a bundle at `folder` that is served from a serialised ONNX graph, and return it loaded.

    Its examples are the bundle's, with the graph's answers. MLflow still reads it as the scikit-learn model that it
    was, which takes a DataFrame with nulls as no graph does, and as a model of its `onnx` flavor.
    """
    from mlplat.runtime.onnx_graph import takes_columns

    shutil.copytree(written.folder, folder)
    (folder / GRAPH_FILE).write_bytes(graph)
    _add_flavor(folder)
    before = written.contract
    made_with = {name: metadata.version(name) for name in RECORDED_OF_GRAPHS}
    changes = {
        "format": "onnx",
        "file": GRAPH_FILE,
        "frame": takes_columns(before.columns),
        "null_text": NULL_TEXT,
        "environment": {**before.environment, **made_with},
        "examples": (),
    }
    return _answered(folder, before.model_copy(update=changes), [example.row for example in before.examples])


def _answered(folder: Path, contract: Contract, tried: list[Row]) -> Model:
    """Write the contract with the model's own answers to a few rows, and return the model loaded with it."""
    from mlplat.serving.model import load

    _put(folder, contract)
    scores = load(folder).score(pd.DataFrame(tried, columns=[column.name for column in contract.columns]))
    shown = tuple(Example(row=row, prediction=float(score)) for row, score in zip(tried, scores, strict=True))
    _put(folder, contract.model_copy(update={"examples": shown}))
    return load(folder)


def trusted_types(estimator: Any) -> list[str]:
    """Return the types in an estimator that skops does not know by itself. Raises `RefusedError` for foreign ones."""
    import skops.io

    from mlplat.serving.engines import is_trustworthy

    found = sorted(skops.io.get_untrusted_types(data=skops.io.dumps(estimator)))
    if foreign := [name for name in found if not is_trustworthy(name)]:
        raise RefusedError(
            f"the model holds `{foreign[0]}`, which a model server does not load",
            hint="use scikit-learn's own transformers and estimators inside the pipeline",
        )
    return found


def _save(folder: Path, estimator: Any, trusted: list[str], rows: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        # MLflow warns of its own type hints while it is imported.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred", category=UserWarning)
        import mlflow.pyfunc
    import mlflow.sklearn
    from mlflow.models import infer_signature

    shutil.rmtree(folder, ignore_errors=True)
    method = "predict_proba" if hasattr(estimator, "predict_proba") else "predict"
    # Whole numbers get a warning from MLflow about nulls, which a contract says of each column.
    sample = rows.head(100).astype(dict.fromkeys(rows.select_dtypes("integer").columns, "float64"))
    mlflow.sklearn.save_model(
        estimator,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=trusted,
        signature=infer_signature(sample, getattr(estimator, method)(rows.head(100))),
        pyfunc_predict_fn=method,  # what the signature says, and what is judged
        pip_requirements=[f"{name}=={metadata.version(name)}" for name in RECORDED[:4]],
    )


def _add_flavor(folder: Path) -> None:
    from mlflow.models import Model as Described

    described = Described.load(str(folder))
    described.add_flavor(
        "onnx",
        data=GRAPH_FILE,
        onnx_version=metadata.version("onnx"),
        providers=["CPUExecutionProvider"],
        code=None,
    )
    described.save(str(folder / "MLmodel"))


def _put(folder: Path, contract: Contract) -> None:
    (folder / CONTRACT_FILE).write_text(contract.model_dump_json(indent=2) + "\n")


def columns_of(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Return the contract's columns for features (rows × columns).

    Raises `UsageError` for a type that is not served.
    """
    return tuple(
        Column(name=str(name), type=_type(frame[name]), nullable=bool(frame[name].isna().any()))
        for name in frame.columns
    )


def _type(values: pd.Series) -> Any:
    kinds = pd.api.types
    if kinds.is_bool_dtype(values):
        return "boolean"
    if kinds.is_integer_dtype(values):
        return "long"
    if kinds.is_float_dtype(values):
        return "double"
    # Of objects, pandas calls a column with nulls no texts.
    if kinds.is_string_dtype(values) or kinds.infer_dtype(values, skipna=True) in {"string", "empty"}:
        return "string"
    raise UsageError(
        f"`{values.name}` is of type {values.dtype}, which a model cannot be asked with",
        hint="make it a number, a text or a truth value, or leave it out of the features",
    )


def examples(rows: pd.DataFrame, contract: Contract) -> list[Row]:
    """Return a few rows to try a model on: real ones, one with every null there can be, one with unseen categories."""
    names = [column.name for column in contract.columns]
    nulls = rows[names].isna().sum(axis="columns").to_numpy()
    chosen = list(dict.fromkeys([int(nulls.argmax()), *range(0, len(rows), max(1, len(rows) // EXAMPLES))]))[:EXAMPLES]
    picked = [plain(row) for row in rows[names].iloc[chosen].to_dict(orient="records")]
    texts = [column.name for column in contract.columns if column.type == "string"]
    nullable = [column.name for column in contract.columns if column.nullable]
    made = [{**picked[-1], **dict.fromkeys(nullable)}, {**picked[-1], **dict.fromkeys(texts, UNSEEN)}]
    return [*picked, *(row for row, names in zip(made, (nullable, texts), strict=True) if names)]


def background(learned: pd.DataFrame, contract: Contract) -> bytes:
    """Return some of the rows that a model learned from (n × columns), evenly over their order, as a bundle's file."""
    some = learned[[column.name for column in contract.columns]].iloc[evenly(len(learned), BACKGROUND)]
    return json.dumps([plain(row) for row in some.to_dict(orient="records")]).encode() + b"\n"


def plain(row: dict[Any, Any]) -> Row:
    """Return a row as JSON gives it: Python's own numbers and texts, and None for what is missing."""
    return {str(name): _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Value:
    if value is None or value is pd.NA or value != value:  # noqa: PLR0124 - a NaN differs from itself
        return None
    return value.item() if hasattr(value, "item") else value  # type: ignore[no-any-return]  # numpy gives Python's own value


def _python() -> str:
    import platform

    return platform.python_version()


def pack(folder: Path) -> bytes:
    """Return a folder as a tar archive, the same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(entry, file)
    return buffer.getvalue()


def unpack(packed: bytes, folder: Path) -> Path:
    """Put the files of an archive of `pack` into a folder, and return it."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        extract(archive, folder)
    return folder
