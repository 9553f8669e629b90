"""The formats that are served: scikit-learn as skops, and ONNX. Never pickle, and never one for want of the other.

An engine is a loaded model: columns in, one score a row out (the probability of the positive class, or the value).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle import NULL_TEXT, UNKNOWN_TEXT, BundleError, Contract, Row
from mlplat.errors import RefusedError
from mlplat.serving.columns import Columns, Schema
from mlplat.serving.tabulated import Table, agree, probes, tabulate

Scores = NDArray[np.float64]

TRUSTED = ("sklearn.", "numpy.")
"""Where the types of a model may lie; code from elsewhere would run here unread."""
UNTRUSTED = (
    "numpy.ctypeslib",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.testing",
    "sklearn.datasets",
    "sklearn.utils._testing",
)
"""Modules below those that run programs, fetch or unpickle files when they are called."""
MADE_WITH = ("scikit-learn", "skops")
"""Packages whose version has to be the one a skops model was made with: neither promises to read another's state."""


class Engine(Protocol):
    """A loaded model."""

    form: str
    """How rows reach it: `columns`, `array`, or `frame` and why it is not `columns`."""

    def score(self, columns: Columns) -> Scores:
        """Return the positive class's probability, or the value, of each row."""


def open_engine(folder: Path, contract: Contract) -> Engine:
    """Load a bundle's model. Raises `BundleError` when it is not what its contract says, `RefusedError` by policy."""
    path = folder / contract.file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{folder}: the model's file `{contract.file}` lies outside of the folder")
    if not path.is_file():
        raise BundleError(f"{path}: missing")
    return OnnxEngine(path, contract) if contract.format == "onnx" else SklearnEngine(path, contract)


class SklearnEngine:
    """A scikit-learn estimator or pipeline; its column transformers are tabulated where that changes no answer."""

    def __init__(self, path: Path, contract: Contract) -> None:
        check_environment(contract)
        self.schema = Schema(contract.columns)
        self.estimator = _load_skops(path, contract)
        self._positive = _positive_index(self.estimator, contract) if contract.task == "binary" else None
        self._table: Callable[[Columns], Any] = self.schema.to_frame if contract.frame else self.schema.to_matrix
        self.form = "frame" if contract.frame else "array"
        if contract.frame:
            self._tabulate([example.row for example in contract.examples])

    def score(self, columns: Columns) -> Scores:
        """Return the positive class's probability, or the value, of each row."""
        return self._scores(self.estimator, self._table(columns))

    def _scores(self, estimator: Any, table: Any) -> Scores:
        if self._positive is None:
            return np.asarray(estimator.predict(table), dtype=np.float64).reshape(-1)
        return np.asarray(estimator.predict_proba(table)[:, self._positive], dtype=np.float64)

    def _tabulate(self, examples: list[Row]) -> None:
        try:
            replaced = tabulate(self.estimator, self.schema)
            rows = probes(self.schema, self.estimator, examples)
            same = agree(self._scores(replaced, rows), self._scores(self.estimator, self.schema.to_frame(rows)))
            why = "the answers differ"
        except Exception as error:  # noqa: BLE001 - whatever the reason, the pipeline is then served as it is
            same, why = False, brief(error)
        if same:
            self.estimator, self._table, self.form = replaced, Table, "columns"
        else:
            self.form = f"frame ({why})"


class OnnxEngine:
    """A model in onnxruntime, on one thread: replicas use more cores, and small models would only wait for a pool.

    Takes one tensor of numbers, rows by columns, or one tensor a column, rows by 1, named like it. Answers a binary
    task with class probabilities, rows by 2, in the order of the sorted classes, which is scikit-learn's. A graph that
    computes in float32 refuses what that cannot hold; those that training writes compute in float64.
    """

    def __init__(self, path: Path, contract: Contract) -> None:
        self.schema = Schema(contract.columns)
        self.form = "columns" if contract.frame else "array"
        self._session = _session(path, contract)
        self._inputs = {tensor.name: _dtype(path, tensor) for tensor in self._session.get_inputs()}
        self._nullable_texts = {one.name for one in contract.columns if one.type == "string" and one.nullable}
        self._matrix = not contract.frame
        self._check_inputs(path, contract)
        self._output = self._find_output(path, contract)
        self._positive = _sorted_classes(contract).index(contract.classes[-1]) if contract.task == "binary" else None

    def score(self, columns: Columns) -> Scores:
        """Return the positive class's probability, or the value, of each row."""
        (found,) = self._session.run([self._output], self._feed(columns))
        if self._positive is None:
            return np.asarray(found, dtype=np.float64).reshape(-1)
        return np.asarray(found[:, self._positive], dtype=np.float64)

    def _feed(self, columns: Columns) -> dict[str, NDArray[Any]]:
        if self._matrix:
            ((name, dtype),) = self._inputs.items()
            return {name: _cast(self.schema.to_matrix(columns), dtype)}
        return {name: self._tensor(name, columns[name], dtype) for name, dtype in self._inputs.items()}

    def _tensor(self, name: str, array: NDArray[Any], dtype: type) -> NDArray[Any]:
        if name in self._nullable_texts:
            array = np.array([_text(value) for value in array.tolist()], dtype=np.object_)
        return _cast(array, dtype).reshape(-1, 1)

    def _check_inputs(self, path: Path, contract: Contract) -> None:
        if self._matrix and len(self._inputs) != 1:
            raise BundleError(f"{path}: takes {len(self._inputs)} tensors, and its contract says one array")
        if not self._matrix and set(self._inputs) != set(self.schema.names):
            odd = sorted(set(self._inputs) ^ set(self.schema.names))
            raise BundleError(f"{path}: its inputs are not the contract's columns: {', '.join(odd)}")
        if contract.null_text not in {"", NULL_TEXT}:
            raise BundleError(f"{path}: takes {contract.null_text!r} for a null, and this server gives {NULL_TEXT!r}")
        if self._nullable_texts and not contract.null_text:
            odd = sorted(self._nullable_texts)
            raise BundleError(f"{path}: `{odd[0]}` is nullable, and an ONNX tensor of strings holds no nulls")

    def _find_output(self, path: Path, contract: Contract) -> str:
        outputs = self._session.get_outputs()
        if contract.task == "regression":
            return str(outputs[0].name)
        for output in outputs:
            if output.type in {"tensor(float)", "tensor(double)"} and output.shape[-1] == len(contract.classes):
                return str(output.name)
        raise BundleError(
            f"{path}: no output holds class probabilities, rows by {len(contract.classes)}",
            hint='export a classifier with `options={"zipmap": False}`',
        )


def _text(value: Any) -> str:
    if value != value:  # noqa: PLR0124 - NaN, which is a null, is the one value that is not itself
        return NULL_TEXT
    return UNKNOWN_TEXT if value == NULL_TEXT else str(value)


def _cast(array: NDArray[Any], dtype: type) -> NDArray[Any]:
    if array.dtype == dtype:
        return array
    with np.errstate(over="raise"):  # a number that becomes infinite would be answered as another one
        return array.astype(dtype)


def check_environment(contract: Contract) -> None:
    """Refuse a scikit-learn model that was made with other versions than those installed here (`RefusedError`)."""
    for package in MADE_WITH:
        here, made = metadata.version(package), contract.environment.get(package)
        if made != here:
            raise RefusedError(
                f"`{contract.project}/{contract.model}` was made with {package} {made or 'of an unknown version'}, "
                f"and {package} {here} is installed here",
                hint=f"train it again with {package}=={here}, the version of this server's environment",
            )


def _load_skops(path: Path, contract: Contract) -> Any:
    from skops import io  # an ONNX model is served without scikit-learn

    trusted = set(contract.trusted_types)
    if odd := sorted(name for name in trusted if not is_trustworthy(name)):
        hint = f"a model may hold types of {' and '.join(TRUSTED)} only, and none that run programs"
        raise RefusedError(f"{path}: its contract trusts `{odd[0]}`", hint=hint)
    try:
        found = set(io.get_untrusted_types(file=path))
    except Exception as error:  # a damaged archive fails in many ways, all of them the file's fault
        raise _unreadable(path, error) from error
    if odd := sorted(found - trusted):
        raise RefusedError(
            f"{path}: holds {', '.join(f'`{name}`' for name in odd)}, which its contract does not trust",
            hint="list it in `trusted_types` of the contract if it lies under sklearn or numpy; nothing else is loaded",
        )
    try:
        return io.load(path, trusted=sorted(found))
    except Exception as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path}: cannot be read as a skops model: {brief(error)}")


def is_trustworthy(name: str) -> bool:
    """Tell whether a type may be loaded when a contract asks for it."""
    return name.startswith(TRUSTED) and not any(name == module or name.startswith(f"{module}.") for module in UNTRUSTED)


def brief(error: Exception) -> str:
    """Write an error on one short line: converters and parsers put whole models into theirs."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "…"  # noqa: PLR2004 - two lines of a terminal


def _positive_index(estimator: Any, contract: Contract) -> int:
    classes = list(getattr(estimator, "classes_", []))
    if not hasattr(estimator, "predict_proba") or set(classes) != set(contract.classes):
        wanted = [str(name) for name in contract.classes]
        raise BundleError(f"the model's classes are {[str(name) for name in classes]}, and its contract says {wanted}")
    return classes.index(contract.classes[-1])


def _sorted_classes(contract: Contract) -> list[Any]:
    return list(np.unique(np.array(contract.classes)).tolist())


def _session(path: Path, contract: Contract) -> Any:
    import onnxruntime  # a scikit-learn model is served without it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base but RuntimeError and its own Fail
        made, here = contract.environment.get("onnxruntime"), metadata.version("onnxruntime")
        older = made is not None and made != here
        raise BundleError(
            f"{path}: cannot be read as an ONNX model: {brief(error)}",
            hint=f"it was made with onnxruntime {made}, and {here} is installed here" if older else None,
        ) from error


_ONNX_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


def _dtype(path: Path, tensor: Any) -> type:
    try:
        return _ONNX_DTYPES[tensor.type]
    except KeyError:
        raise BundleError(f"{path}: input `{tensor.name}` is a {tensor.type}, which no column has") from None
