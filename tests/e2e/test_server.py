"""A model server as a process, asked by clients that were written elsewhere: tritonclient and schemathesis."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import schemathesis
import skl2onnx
import sklearn
import skops
import skops.io
import tritonclient.http as triton  # type: ignore[import-untyped]
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from commands import PATIENCE
from mlplat.bundle import CONTRACT_FILE, Column, Contract, Example, digest
from mlplat.serving.model import Model, load

pytestmark = pytest.mark.e2e
DEADLINE = PATIENCE * 60.0
COLUMNS = (
    Column(name="carrier", type="string", nullable=True),
    Column(name="destination", type="string"),
    Column(name="hour", type="long"),
    Column(name="seats", type="long", nullable=True),
    Column(name="temperature", type="double", nullable=True),
    Column(name="holiday", type="boolean"),
)
WIDTH = 4
ENVIRONMENT = {"scikit-learn": sklearn.__version__, "skops": skops.__version__}


@dataclass
class Served:
    """A server and the model that it serves, called directly."""

    url: str
    model: Model

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [dict(example.row) for example in self.model.contract.examples]

    def client(self) -> triton.InferenceServerClient:
        return triton.InferenceServerClient(self.url.removeprefix("http://"))


def flights(rows: int = 400) -> pd.DataFrame:
    source = np.random.default_rng(11)
    frame = pd.DataFrame(
        {
            "carrier": source.choice(["AA", "B6", "UA"], rows),
            "destination": source.choice(["BOS", "Zürich", "東京"], rows),
            "hour": source.integers(5, 24, rows),
            "seats": source.integers(50, 300, rows).astype(np.float64),
            "temperature": source.normal(15, 8, rows),
            "holiday": source.random(rows) < 0.2,
        }
    )
    frame.loc[::7, "carrier"] = None
    frame.loc[1::5, ["seats", "temperature"]] = None
    return frame


def as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    whole = {"hour", "seats"}
    return [
        {str(name): None if pd.isna(value) else int(value) if name in whole else value for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def finish(folder: Path, contract: Contract, rows: list[dict[str, Any]]) -> Path:
    (folder / CONTRACT_FILE).write_text(contract.model_dump_json())
    model = load(folder)
    scores = model.score_columns(model.schema.from_rows(rows)).tolist()
    examples = tuple(Example(row=row, prediction=score) for row, score in zip(rows, scores, strict=True))
    (folder / CONTRACT_FILE).write_text(contract.model_copy(update={"examples": examples}).model_dump_json())
    return folder


def pipeline(folder: Path) -> Path:
    frame = flights()
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1, "encoded_missing_value": -2}
    columns = ColumnTransformer(
        [("text", OrdinalEncoder(**unknown), ["carrier", "destination"])], remainder="passthrough"
    )
    model = Pipeline([("columns", columns), ("model", HistGradientBoostingClassifier(max_iter=20, random_state=0))])
    skops.io.dump(model.fit(frame, frame["hour"] > 14), folder / "model.skops")
    trusted = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "numpy.dtype")
    contract = Contract(
        project="flights",
        model="late",
        task="binary",
        columns=COLUMNS,
        classes=(False, True),
        environment=ENVIRONMENT,
        trusted_types=trusted,
    )
    return finish(folder, contract, as_json(frame[:20]))


def array(folder: Path) -> Path:
    values = np.random.default_rng(3).normal(size=(300, WIDTH))
    labels = ["yes" if row[0] + row[1] > 0 else "no" for row in values]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(values, labels)
    inputs = [("input", FloatTensorType([None, WIDTH]))]
    exported = skl2onnx.to_onnx(model, initial_types=inputs, options={"zipmap": False})
    (folder / "model.onnx").write_bytes(exported.SerializeToString())
    contract = Contract(
        project="lab",
        model="signal",
        task="binary",
        columns=tuple(Column(name=f"x{place}", type="double") for place in range(WIDTH)),
        classes=("no", "yes"),
        frame=False,
        format="onnx",
        file="model.onnx",
    )
    return finish(folder, contract, [{f"x{n}": value for n, value in enumerate(row)} for row in values[:8].tolist()])


@pytest.fixture(scope="module", params=[pipeline, array], ids=["pipeline", "array"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process a model; it must end well."""
    folder = request.param(tmp_path_factory.mktemp("bundle"))
    log = tmp_path_factory.mktemp("log")
    command = [sys.executable, "-m", "mlplat.serving", "--bundle", str(folder), "--digest", digest(folder)]
    command += ["--endpoint", "a/b", "--revision", "r1", "--model-version", "3", "--port", "0", "--log-dir", str(log)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    readable, _, _ = select.select([process.stderr], [], [], DEADLINE)
    assert readable, "the server did not start in time"
    line = process.stderr.readline()
    assert " at http://" in line, line
    yield Served(line.split(" at ")[1].split(",")[0], load(folder))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert "Traceback" not in said, said


NUMPY = {"boolean": np.bool_, "long": np.int64, "double": np.float64, "string": np.object_}
DATATYPES = {"boolean": "BOOL", "long": "INT64", "double": "FP64", "string": "BYTES"}


def tensors(model: Model, rows: list[dict[str, Any]]) -> list[triton.InferInput]:
    """Return one tensor a column, as tritonclient makes it of numpy arrays; it knows no nulls."""
    made = []
    for column in model.contract.columns:
        values: np.ndarray[Any, Any] = np.array([row[column.name] for row in rows], dtype=NUMPY[column.type])
        made.append(triton.InferInput(column.name, [len(rows)], DATATYPES[column.type]))
        made[-1].set_data_from_numpy(values, binary_data=False)
    return made


def without_nulls(served: Served) -> list[dict[str, Any]]:
    return [row for row in served.rows if None not in row.values()]


def direct(served: Served, rows: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    return served.model.score_columns(served.model.schema.from_rows(rows))


def test_tritonclient_finds_server_and_model(served: Served) -> None:
    client, name = served.client(), served.model.contract.model
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    assert client.is_model_ready(name, "3")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready(name, "4")
    assert client.get_server_metadata()["name"] == "mlplat"
    found = client.get_model_metadata(name, "3")
    assert found["versions"] == ["3"]
    columns = served.model.contract.columns
    assert [(one["name"], one["datatype"], one["shape"]) for one in found["inputs"]] == [
        (column.name, DATATYPES[column.type], [-1]) for column in columns
    ]


def test_tritonclient_gets_the_models_own_answers(served: Served) -> None:
    client, contract, rows = served.client(), served.model.contract, without_nulls(served)
    wanted = [triton.InferRequestedOutput(name, binary_data=False) for name in ("label", "probability")]
    for outputs in (None, wanted):
        answer = client.infer(contract.model, tensors(served.model, rows), outputs=outputs, request_id="q-7")
        scores = direct(served, rows)
        assert np.allclose(answer.as_numpy("probability"), scores, atol=1e-12)
        assert answer.get_response()["id"] == "q-7"
        labels = [one.decode() if isinstance(one, bytes) else one for one in answer.as_numpy("label").tolist()]
        assert labels == served.model.labels(scores)


@pytest.mark.parametrize("rows", [1, 10_000])
def test_one_row_and_many_are_answered_as_the_model_answers(served: Served, rows: int) -> None:
    given_rows = (without_nulls(served) * rows)[:rows]
    answer = served.client().infer(served.model.contract.model, tensors(served.model, given_rows))
    assert np.allclose(answer.as_numpy("probability"), direct(served, given_rows), rtol=0, atol=1e-12)
    by_row = httpx.post(f"{served.url}/predict", json={"rows": given_rows}, timeout=60).json()["predictions"]
    assert np.array_equal([one["probability"] for one in by_row], answer.as_numpy("probability"))


def test_tritonclient_may_send_all_columns_in_one_tensor(served: Served) -> None:
    if served.model.contract.frame:
        pytest.skip("for a model without column names")
    matrix = np.array([list(row.values()) for row in served.rows], dtype=np.float64)
    for datatype, kind in (("FP64", np.float64), ("FP32", np.float32)):
        tensor = triton.InferInput("input-0", list(matrix.shape), datatype)
        tensor.set_data_from_numpy(matrix.astype(kind), binary_data=False)
        answer = served.client().infer("signal", [tensor])
        assert np.allclose(answer.as_numpy("probability"), direct(served, served.rows), atol=1e-6)


def test_tritonclient_shows_our_errors(served: Served) -> None:
    client, name = served.client(), served.model.contract.model
    rows = without_nulls(served)[:1]
    first, *rest = tensors(served.model, rows)
    for asked, inputs, reason in (
        ("other", [first, *rest], "no model `other`"),
        (name, rest, f"inputs[{first.name()}]: is missing"),
    ):
        with pytest.raises(InferenceServerException) as caught:
            client.infer(asked, inputs)
        assert reason in caught.value.message()
    first.set_data_from_numpy(
        np.array([rows[0][first.name()]], dtype=NUMPY[served.model.contract.columns[0].type]), binary_data=True
    )
    with pytest.raises(InferenceServerException, match="binary_data=False"):
        client.infer(name, [first, *rest])


def test_tritonclient_may_compress(served: Served) -> None:
    rows = (without_nulls(served) * 300)[:300]
    answer = served.client().infer(
        served.model.contract.model,
        tensors(served.model, rows),
        request_compression_algorithm="gzip",
        response_compression_algorithm="gzip",
    )
    assert np.allclose(answer.as_numpy("probability"), direct(served, rows), atol=1e-12)


def test_the_descriptions_promises_are_kept(served: Served) -> None:
    """Whatever schemathesis makes of our OpenAPI document is answered as it says, and never with 5xx."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    checks = [check for check in CHECKS.get_all() if check.__name__ in CHECKED]
    assert len(checks) == len(CHECKED)
    asked: set[str] = set()
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # a description that is none raises here

        @settings(
            max_examples=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=st.one_of(*strategies(operation)))
        def ask(case: Any) -> None:
            asked.add(case.operation.path)
            response = case.call(timeout=30)
            # Busy, and too late for the deadline that the request itself named: both are promised.
            assert response.status_code < 500 or response.status_code in {503, 504}
            case.validate_response(response, checks=checks)

        ask()
    assert "/predict" in asked
    assert len(asked) >= 10


CHECKED = {
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
}


def strategies(operation: Any) -> list[Any]:
    modes = schemathesis.GenerationMode
    return [operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)]


def test_what_the_description_allows_is_answered(served: Served) -> None:
    """Rows of the contract's types, within a magnitude that float32 can compute with, are answered by both routes."""

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(rows=st.lists(row(served.model), min_size=1, max_size=5))
    def ask(rows: list[dict[str, Any]]) -> None:
        scores = direct(served, rows)
        answer = httpx.post(f"{served.url}/predict", content=json.dumps({"rows": rows}), timeout=60)
        assert answer.status_code == 200, answer.text
        found = [one["probability"] for one in answer.json()["predictions"]]
        assert np.allclose(found, scores, rtol=1e-9, atol=1e-12)
        inputs = [
            {
                "name": column.name,
                "datatype": DATATYPES[column.type],
                "shape": [len(rows)],
                "data": [one[column.name] for one in rows],
            }
            for column in served.model.contract.columns
        ]
        path = f"{served.url}/v2/models/{served.model.contract.model}/infer"
        outputs = httpx.post(path, content=json.dumps({"inputs": inputs}), timeout=60).json()["outputs"]
        assert outputs[1]["data"] == found

    ask()


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(-1e30, 1e30, allow_nan=False) | st.integers(-(2**53), 2**53),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["AA", "BOS", "東京", ""]),
}


def row(model: Model) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            column.name: VALUES[column.type] | st.none() if column.nullable else VALUES[column.type]
            for column in model.contract.columns
        }
    )
