"""A fitted model as an ONNX graph that computes what scikit-learn computes, in float64 from end to end.

The graph takes a contract's columns as they are, texts and nulls included, and answers with the positive class's
probability or with the value; what stands between, from encoders to calibration, is written here piece by piece.
Encoders become the tables that `mlplat.serving.tabulated` asks them for. A piece that is not known here is refused
(`Unsupported`), never approximated; whether the graph answers as the model does is measured afterwards
(`mlplat.runtime.onnx_export`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mlplat.bundle import NULL_TEXT, UNKNOWN_TEXT, Column
from mlplat.runtime import onnx_trees
from mlplat.serving.columns import Schema
from mlplat.serving.tabulated import (
    ENCODERS,
    IMPUTER,
    RANGE,
    Lookup,
    Matrix,
    Unsupported,
    is_nan,
    kind_of,
    lookups,
    names_of,
    steps_of,
)

OPSET, ML_OPSET, IR = 17, 5, 10
"""The oldest sets that hold every operator used here, so that as many runtimes as possible read the graph."""
MATRIX, PROBABILITIES, VALUE = "input", "probabilities", "variable"
"""Names of the tensors that are no columns; the outputs are named as other converters name them."""
EXACT_INTEGERS = 2**53
"""Above it, float64 does not hold every whole number."""
ML = "ai.onnx.ml"


def takes_columns(columns: Sequence[Column]) -> bool:
    """Tell whether a graph takes one tensor a column, which texts need, or one tensor of numbers."""
    return any(column.type == "string" for column in columns)


def export(estimator: Any, columns: Sequence[Column], *, binary: bool) -> bytes:
    """Return a fitted estimator as a serialised ONNX model.

    A classifier answers with `probabilities`, rows by its two sorted classes, a regression with `variable`, rows by 1.
    Raises `Unsupported` for a piece that has no exact form here.
    """
    graph = Graph()
    inputs = Inputs(graph, Schema(columns))
    score = _answer(graph, estimator, inputs)
    if not binary:
        graph.add("Identity", score)
        return graph.serialized(inputs.described(), VALUE, 1)
    graph.add("Concat", graph.add("Sub", graph.constant([[1.0]]), score), score, axis=1)
    return graph.serialized(inputs.described(), PROBABILITIES, 2)


class Graph:
    """Nodes and constants in the order in which they are computed; tensors that are no columns are called `/…`."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        from onnx import helper

        output = f"/{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        return output

    def constant(self, value: Any, dtype: type = np.float64) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"/c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def serialized(self, inputs: list[Any], name: str, width: int) -> bytes:
        """Return the model's bytes, with the last node's output (rows × width, float64) as its only one, as `name`."""
        from onnx import TensorProto, checker, helper

        if name in {each.name for each in inputs}:
            raise Unsupported(f"a column is called `{name}`, as the graph's answer is")
        self._nodes[-1].output[0] = name
        output = helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, width])
        made = helper.make_graph(self._nodes, "mlplat", inputs, [output], self._constants)
        sets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(made, opset_imports=sets, ir_version=IR, producer_name="mlplat")
        checker.check_model(model)
        return bytes(model.SerializeToString())


class Inputs:
    """The rows as the graph takes them: a tensor a column where there are texts, otherwise one of numbers."""

    def __init__(self, graph: Graph, schema: Schema) -> None:
        self.graph, self.schema = graph, schema
        self.columns = {column.name: column for column in schema.columns}
        self._apart = takes_columns(schema.columns)
        if self._apart and (odd := [name for name in schema.names if not name or name.startswith("/")]):
            raise Unsupported(f"a column is called `{odd[0]}`, which no tensor may be")

    def described(self) -> list[Any]:
        """Return the graph's inputs as ONNX writes them."""
        from onnx import TensorProto, helper

        if not self._apart:
            return [helper.make_tensor_value_info(MATRIX, TensorProto.DOUBLE, [None, len(self.columns)])]
        return [helper.make_tensor_value_info(name, _type(one), [None, 1]) for name, one in self.columns.items()]

    def numbers(self, names: Sequence[str]) -> list[str]:
        """Return tensors of float64 that are the columns `names` when they stand side by side."""
        from onnx import TensorProto

        if odd := [name for name in names if self.columns[name].type == "string"]:
            raise Unsupported(f"`{odd[0]}` holds texts, and no encoder takes it")
        if not self._apart:
            places = [self.schema.names.index(name) for name in names]
            if places == list(range(len(self.columns))):
                return [MATRIX]
            return [self.graph.add("Gather", MATRIX, self.graph.constant(places, np.int64), axis=1)]
        return [
            name
            if _type(self.columns[name]) == TensorProto.DOUBLE
            else self.graph.add("Cast", name, to=TensorProto.DOUBLE)
            for name in names
        ]


def _type(column: Column) -> int:
    """Return the type of a column's tensor: that of the array in which `mlplat.serving.columns` holds it."""
    from onnx import TensorProto

    if column.nullable and column.type != "string":
        return int(TensorProto.DOUBLE)
    types = {"boolean": TensorProto.BOOL, "long": TensorProto.INT64, "double": TensorProto.DOUBLE}
    return int(types.get(column.type, TensorProto.STRING))


Rows = Inputs | str
"""What a step takes: the columns, or what the step before made of them, a tensor of numbers."""


def _matrix(graph: Graph, rows: Rows) -> str:
    return rows if isinstance(rows, str) else _beside(graph, rows.numbers(rows.schema.names))


def _beside(graph: Graph, parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _answer(graph: Graph, estimator: Any, rows: Rows) -> str:
    """Return the probability of the second of two sorted classes, or the value, rows by 1."""
    kind = kind_of(estimator)
    if kind == "sklearn.calibration.CalibratedClassifierCV":
        return _calibrated(graph, estimator, rows)
    final, rows = _prepared(graph, estimator, rows)
    if final is not estimator:
        return _answer(graph, final, rows)
    score = _score(graph, final, rows)
    return graph.add(score.link, score.tensor) if score.link else score.tensor


def _calibrated(graph: Graph, estimator: Any, rows: Rows) -> str:
    if len(estimator.calibrated_classifiers_) != 1:
        raise Unsupported("calibration with more than one model")
    (part,) = estimator.calibrated_classifiers_
    if part.method != "sigmoid" or len(part.calibrators) != 1:
        raise Unsupported(f"calibration by {part.method}")
    final = part.estimator
    while (inner := _prepared(graph, final, rows))[0] is not final:
        final, rows = inner
    score = _score(graph, final, rows)
    # scikit-learn fits the sigmoid on the decision function where there is one, and on the probability otherwise.
    (sigmoid,) = part.calibrators
    scaled = graph.add("Mul", score.tensor, graph.constant([[float(sigmoid.a_)]]))
    return graph.add("Sigmoid", graph.add("Neg", graph.add("Add", scaled, graph.constant([[float(sigmoid.b_)]]))))


def _prepared(graph: Graph, estimator: Any, rows: Rows) -> tuple[Any, Rows]:
    """Return what stands inside a wrapper or at a pipeline's end, and the rows that reach it."""
    kind = kind_of(estimator)
    if kind == "sklearn.frozen._frozen.FrozenEstimator":
        return estimator.estimator, rows
    if kind == "sklearn.pipeline.Pipeline":
        *steps, (_, final) = estimator.steps
        for _, step in steps:
            rows = _transformed(graph, step, rows)
        return final, rows
    return estimator, rows


def _transformed(graph: Graph, step: Any, rows: Rows) -> str:
    if kind_of(step) != "sklearn.compose._column_transformer.ColumnTransformer":
        tensor = _matrix(graph, rows)
        for each in steps_of(step):
            tensor = _number_step(graph, each, tensor)
        return tensor
    if isinstance(rows, str):
        raise Unsupported("a column transformer behind another step")
    if step.transformer_weights:
        raise Unsupported("a column transformer with weights")
    return _beside(graph, list(_parts(graph, step, rows)))


def _parts(graph: Graph, transformer: Any, inputs: Inputs) -> Iterator[str]:
    for _, part, wanted in transformer.transformers_:
        names = names_of(transformer, wanted)
        if not names or (isinstance(part, str) and part == "drop"):
            continue
        steps = steps_of(part)
        if any(kind_of(each) in ENCODERS for each in steps):
            yield from (_encoded(graph, found, inputs) for found in lookups(part, steps, names, inputs.schema))
        elif all(_is_identity(each) for each in steps):
            yield from inputs.numbers(names)
        else:
            tensor = _beside(graph, inputs.numbers(names))
            for each in steps:
                tensor = _number_step(graph, each, tensor)
            yield tensor


def _encoded(graph: Graph, found: Lookup, inputs: Inputs) -> str:
    """Add a look-up: straight to its number where there is one a value, otherwise by the row of its table."""
    from onnx import TensorProto

    narrow = found.table.shape[1] == 1
    answers = found.table[:, 0] if narrow else np.arange(len(found.table), dtype=np.float64)
    if inputs.columns[found.name].type == "string":
        encoded = _mapped(graph, found.name, _text_keys(found), answers, list(found.rows.values()))
    else:
        (tensor,) = inputs.numbers([found.name])
        known = {float(_exact(value)): row for value, row in found.rows.items() if value is not None}
        encoded = _mapped(graph, tensor, list(known), answers, list(known.values()))
        null = answers[found.rows.get(None, 0)]
        encoded = graph.add("Where", graph.add("IsNaN", tensor), graph.constant([[null]]), encoded)
    if narrow:
        return encoded
    row = graph.add("Reshape", graph.add("Cast", encoded, to=TensorProto.INT64), graph.constant([-1], np.int64))
    return graph.add("Gather", graph.constant(found.table), row, axis=0)


def _text_keys(found: Lookup) -> list[bytes]:
    if odd := [value for value in found.rows if value in {NULL_TEXT, UNKNOWN_TEXT}]:
        raise Unsupported(f"`{found.name}` has a category {odd[0]!r}, which the graph keeps for itself")
    return [(NULL_TEXT if value is None else str(value)).encode() for value in found.rows]


def _exact(value: float) -> float:
    if abs(value) > EXACT_INTEGERS:
        raise Unsupported("a category that float64 does not hold")
    return value


def _mapped(graph: Graph, tensor: str, keys: list[Any], answers: Any, rows: list[int]) -> str:
    """Add the map from known values to their rows' answers; row 0 answers for all others."""
    from onnx import TensorProto, helper

    if not keys:
        raise Unsupported("an encoder that knows no value")
    kind = TensorProto.STRING if isinstance(keys[0], bytes) else TensorProto.DOUBLE
    return graph.add(
        "LabelEncoder",
        tensor,
        domain=ML,
        keys_tensor=helper.make_tensor("keys", kind, [len(keys)], keys),
        values_tensor=helper.make_tensor("values", TensorProto.DOUBLE, [len(rows)], answers[rows].tolist()),
        default_tensor=helper.make_tensor("unknown", TensorProto.DOUBLE, [1], [float(answers[0])]),
    )


def _is_identity(step: Any) -> bool:
    kind = "sklearn.preprocessing._function_transformer.FunctionTransformer"
    return kind_of(step) == kind and step.func is None


def _number_step(graph: Graph, step: Any, tensor: str) -> str:
    if _is_identity(step):
        return tensor
    if kind_of(step) == IMPUTER:
        return _imputed(graph, step, tensor)
    if kind_of(step) == RANGE:
        return _ranged(graph, step, tensor)
    if found := _affine(step):
        centre, scale = found
        if centre is not None:
            tensor = graph.add("Sub", tensor, graph.constant(np.reshape(centre, (1, -1))))
        return tensor if scale is None else graph.add("Div", tensor, graph.constant(np.reshape(scale, (1, -1))))
    raise Unsupported(f"`{kind_of(step)}` has no exact form")


def _affine(step: Any) -> tuple[Matrix | None, Matrix | None] | None:
    """Return what a scaler subtracts and then divides by."""
    kind = kind_of(step)
    if kind == "sklearn.preprocessing._data.StandardScaler":
        return step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None
    if kind == "sklearn.preprocessing._data.RobustScaler":
        return step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None
    if kind == "sklearn.preprocessing._data.MaxAbsScaler" and not getattr(step, "clip", False):
        return None, step.scale_
    return None


def _ranged(graph: Graph, step: Any, tensor: str) -> str:
    scaled = graph.add("Mul", tensor, graph.constant(np.reshape(step.scale_, (1, -1))))
    moved = graph.add("Add", scaled, graph.constant(np.reshape(step.min_, (1, -1))))
    if not step.clip:
        return moved
    # Runtimes differ in what the least of a number and NaN is; a comparison with NaN is false everywhere.
    low, high = (graph.constant([[float(end)]]) for end in step.feature_range)
    cut = graph.add("Where", graph.add("Less", moved, low), low, moved)
    return graph.add("Where", graph.add("Greater", cut, high), high, cut)


def _imputed(graph: Graph, imputer: Any, tensor: str) -> str:
    from onnx import TensorProto

    statistics = np.asarray(imputer.statistics_, dtype=np.float64)
    if not is_nan(imputer.missing_values) or np.isnan(statistics).any():
        raise Unsupported("an imputer of something else than nulls, or of a column that holds nothing else")
    missing = graph.add("IsNaN", tensor)
    filled = graph.add("Where", missing, graph.constant(statistics.reshape(1, -1)), tensor)
    if not imputer.add_indicator or not len(imputer.indicator_.features_):
        return filled
    told = graph.add("Gather", missing, graph.constant(imputer.indicator_.features_, np.int64), axis=1)
    return _beside(graph, [filled, graph.add("Cast", told, to=TensorProto.DOUBLE)])


@dataclass(frozen=True)
class Score:
    """What a final estimator computes first, rows by 1."""

    tensor: str
    link: str | None = None
    """Operator that makes the answer of it; without one it is the answer."""


def _score(graph: Graph, estimator: Any, rows: Rows) -> Score:
    try:
        write = _writers()[kind_of(estimator)]
    except KeyError:
        raise Unsupported(f"`{kind_of(estimator)}` has no exact form") from None
    return write(graph, estimator, _matrix(graph, rows))


@cache
def _writers() -> dict[str, Callable[[Graph, Any, str], Score]]:
    boosting = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoosting"
    linear = "sklearn.linear_model."
    return {
        f"{boosting}Classifier": _boosting,
        f"{boosting}Regressor": _boosting,
        **{
            f"sklearn.ensemble._forest.{name}{kind}": _forest
            for name in ("RandomForest", "ExtraTrees")
            for kind in KINDS
        },
        **{f"sklearn.tree._classes.DecisionTree{kind}": _forest for kind in KINDS},
        f"{linear}_logistic.LogisticRegression": _logistic,
        f"{linear}_logistic.LogisticRegressionCV": _logistic,
        f"{linear}_base.LinearRegression": _linear,
        f"{linear}_ridge.Ridge": _linear,
        f"{linear}_ridge.RidgeCV": _linear,
        f"{linear}_coordinate_descent.Lasso": _linear,
        f"{linear}_coordinate_descent.ElasticNet": _linear,
    }


KINDS = ("Classifier", "Regressor")
LINKS = {"IdentityLink": None, "LogLink": "Exp", "LogitLink": "Sigmoid"}
"""Operator that undoes each link function of scikit-learn's losses."""


def _boosting(graph: Graph, model: Any, matrix: str) -> Score:
    predictors = [predictor for (predictor,) in model._predictors]  # noqa: SLF001 - where a fitted model keeps its trees
    link = type(model._loss.link).__name__  # noqa: SLF001
    if link not in LINKS or any(predictor.nodes["is_categorical"].any() for predictor in predictors):
        raise Unsupported("gradient boosting with categorical splits, or with a loss of another kind")
    trees = onnx_trees.ensemble(map(onnx_trees.boosted, predictors))
    summed = graph.add("TreeEnsemble", matrix, domain=ML, **trees)
    baseline = graph.constant(np.reshape(model._baseline_prediction, (1, 1)))  # noqa: SLF001
    return Score(graph.add("Add", summed, baseline), LINKS[link])


def _forest(graph: Graph, model: Any, matrix: str) -> Score:
    from onnx import TensorProto

    if model.n_outputs_ != 1 or np.max(getattr(model, "n_classes_", 2)) > 2:  # noqa: PLR2004 - a binary task
        raise Unsupported("a forest of more than one answer")
    trees = [tree.tree_ for tree in getattr(model, "estimators_", [model])]
    # scikit-learn rounds rows to float32 here, and then compares with thresholds of float64.
    rounded = graph.add("Cast", matrix, to=TensorProto.FLOAT)
    attributes = onnx_trees.ensemble(onnx_trees.grown(tree, _leaf_values(tree)) for tree in trees)
    widened = graph.add("Cast", rounded, to=TensorProto.DOUBLE)
    summed = graph.add("TreeEnsemble", widened, domain=ML, **attributes)
    mean = graph.add("Div", summed, graph.constant([[float(len(trees))]]))
    # What rounds to infinity there is refused: no answer here either.
    endless = graph.add("Cast", graph.add("IsInf", rounded), to=TensorProto.FLOAT)
    refused = graph.add("Cast", graph.add("ReduceMax", endless, axes=[1], keepdims=1), to=TensorProto.BOOL)
    return Score(graph.add("Where", refused, graph.constant([[np.nan]]), mean))


def _leaf_values(tree: Any) -> Any:
    """Return the share of the second class, or the mean, at each node."""
    values = tree.value[:, 0, :]
    return values[:, 0].copy() if values.shape[1] == 1 else values[:, 1] / values.sum(axis=1)


def _logistic(graph: Graph, model: Any, matrix: str) -> Score:
    if np.shape(model.coef_)[0] != 1:
        raise Unsupported("logistic regression of more than two classes")
    return Score(_linear(graph, model, matrix).tensor, "Sigmoid")


def _linear(graph: Graph, model: Any, matrix: str) -> Score:
    weights = np.asarray(model.coef_, dtype=np.float64).reshape(-1, 1)
    offset = np.asarray(model.intercept_, dtype=np.float64).reshape(1, -1)
    if offset.shape[1] != 1:
        raise Unsupported("a linear model of more than one answer")
    return Score(graph.add("Add", graph.add("MatMul", matrix, graph.constant(weights)), graph.constant(offset)))
