"""Real models, trained and written once for all tests of the server."""

from __future__ import annotations

import asyncio
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skl2onnx
import sklearn
import skops
import skops.io
import uvloop
from httpx import AsyncBaseTransport, AsyncClient, AsyncHTTPTransport, Request, Response
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlplat.bundle import CONTRACT_FILE, Column, Contract, Example, digest
from mlplat.labels import Name
from mlplat.runtime import bundles, onnx_graph
from mlplat.serving.app import Server
from mlplat.serving.connection import Hub
from mlplat.serving.model import load
from mlplat.serving.options import Options

ENVIRONMENT = {"scikit-learn": sklearn.__version__, "skops": skops.__version__}
TREES = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
COLUMNS = (
    Column(name="carrier", type="string", nullable=True),
    Column(name="destination", type="string"),
    Column(name="hour", type="long"),
    Column(name="seats", type="long", nullable=True),
    Column(name="temperature", type="double", nullable=True),
    Column(name="distance", type="double"),
    Column(name="holiday", type="boolean"),
)
NUMBERS = ["seats", "temperature", "distance", "holiday"]
ARRAY_COLUMNS = tuple(Column(name=f"x{place}", type="double") for place in range(4))


def flights(rows: int = 600) -> pd.DataFrame:
    """Return rows with strings, whole and other numbers, truth values and nulls."""
    source = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "carrier": source.choice(["AA", "B6", "UA"], rows),
            "destination": source.choice(["BOS", "LAX", "ORD", "SEA"], rows),
            "hour": source.integers(5, 24, rows),
            "seats": source.integers(50, 300, rows).astype(np.float64),
            "temperature": source.normal(15, 8, rows),
            "distance": source.uniform(100, 3000, rows),
            "holiday": source.random(rows) < 0.1,
        }
    )
    frame.loc[::9, "carrier"] = None
    frame.loc[1::11, "temperature"] = None
    frame.loc[2::13, "seats"] = None
    return frame


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as JSON has them."""
    whole = {"hour", "seats"}
    return [
        {str(name): None if pd.isna(value) else int(value) if name in whole else value for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def truth(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    score = frame["temperature"].fillna(15) / 8 + (frame["destination"] == "BOS") * 2 + frame["hour"] / 10
    return (score > score.median()).to_numpy().astype(np.int64)


def classifier() -> Pipeline:
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1, "encoded_missing_value": -2}
    columns = ColumnTransformer(
        [
            ("text", OrdinalEncoder(**unknown), ["carrier", "destination"]),
            ("numbers", "passthrough", ["hour", *NUMBERS]),
        ]
    )
    return Pipeline([("columns", columns), ("model", HistGradientBoostingClassifier(max_iter=20, random_state=0))])


def regressor() -> Pipeline:
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore"), ["carrier", "destination", "hour"]),
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        ]
    )
    return Pipeline([("columns", columns), ("model", Ridge())])


def finish(folder: Path, contract: Contract, rows: list[dict[str, Any]]) -> Path:
    """Write the contract, with the model's own answers to a few rows as its examples."""
    (folder / CONTRACT_FILE).write_text(contract.model_dump_json())
    model = load(folder)
    scores = model.score_columns(model.schema.from_rows(rows)).tolist()
    examples = tuple(Example(row=row, prediction=score) for row, score in zip(rows, scores, strict=True))
    (folder / CONTRACT_FILE).write_text(contract.model_copy(update={"examples": examples}).model_dump_json())
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute as the server does; threads that wait for each other only slow small fits down on a busy computer."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def pipeline_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier over a DataFrame, as MLflow writes it."""
    folder = tmp_path_factory.mktemp("bundles") / "late"
    frame = flights()
    fitted = classifier().fit(frame, truth(frame))
    trusted = [TREES, "numpy.dtype"]
    requirements = [f"scikit-learn=={sklearn.__version__}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, of its own modules
        from mlflow import sklearn as mlflow_sklearn

        mlflow_sklearn.save_model(
            fitted, folder, serialization_format="skops", skops_trusted_types=trusted, pip_requirements=requirements
        )
    contract = Contract(
        project="flights",
        model="late",
        task="binary",
        columns=COLUMNS,
        classes=(0, 1),
        threshold=0.4,
        trusted_types=tuple(trusted),
        environment=ENVIRONMENT,
    )
    return finish(folder, contract, rows_of(frame[:20]))


@pytest.fixture(scope="session")
def regression_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A regression over a DataFrame."""
    folder = tmp_path_factory.mktemp("bundles")
    frame = flights()
    skops.io.dump(regressor().fit(frame, frame["distance"] / 8 + frame["hour"]), folder / "model.skops")
    contract = Contract(
        project="flights",
        model="duration",
        task="regression",
        columns=COLUMNS,
        environment=ENVIRONMENT,
        trusted_types=("numpy.dtype",),
    )
    return finish(folder, contract, rows_of(frame[:20]))


def measured() -> tuple[np.ndarray[Any, np.dtype[np.float64]], list[str]]:
    values = np.random.default_rng(3).normal(size=(300, 4))
    return values, ["yes" if row[0] + row[1] > 0 else "no" for row in values]


def array_contract(**changes: Any) -> Contract:
    known: dict[str, Any] = {
        "project": "lab",
        "model": "signal",
        "task": "binary",
        "columns": ARRAY_COLUMNS,
        "classes": ("no", "yes"),
        "frame": False,
        "environment": ENVIRONMENT,
    }
    return Contract(**(known | changes))


@pytest.fixture(scope="session")
def array_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier over a plain array."""
    folder = tmp_path_factory.mktemp("bundles")
    values, labels = measured()
    skops.io.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(values, labels), folder / "model.skops")
    return finish(folder, array_contract(), array_rows())


@pytest.fixture(scope="session")
def onnx_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same classifier, exported to ONNX."""
    folder = tmp_path_factory.mktemp("bundles")
    values, labels = measured()
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(values, labels)
    inputs = [("input", FloatTensorType([None, 4]))]
    exported = skl2onnx.to_onnx(fitted, initial_types=inputs, options={"zipmap": False})
    (folder / "model.onnx").write_bytes(exported.SerializeToString())
    return finish(folder, array_contract(format="onnx", file="model.onnx", environment={}), array_rows())


@pytest.fixture(scope="session")
def graph_bundle(pipeline_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier over a DataFrame, as training writes it down as a graph: a tensor a column, nulls and texts."""
    frame = flights()
    graph = onnx_graph.export(classifier().fit(frame, truth(frame)), COLUMNS, binary=True)
    return bundles.with_graph(tmp_path_factory.mktemp("bundles") / "graph", load(pipeline_bundle), graph).folder


def array_rows() -> list[dict[str, Any]]:
    return [{f"x{place}": value for place, value in enumerate(row)} for row in measured()[0][:8].tolist()]


@pytest.fixture(scope="session", params=["pipeline", "regression", "array", "onnx", "graph"])
def any_bundle(request: pytest.FixtureRequest) -> Path:
    """Each of the bundles in turn."""
    folder: Path = request.getfixturevalue(f"{request.param}_bundle")
    return folder


@pytest.fixture
def options() -> Callable[..., Options]:
    """Return a maker of options for a bundle."""

    def make(bundle: Path, **changes: Any) -> Options:
        known: dict[str, Any] = {
            "bundle": bundle,
            "digest": digest(bundle),
            "endpoint": Name("flights", "late"),
            "revision": "r1",
            "model_version": "3",
            "port": 0,
        }
        return Options(**(known | changes))

    return make


@pytest.fixture
def client() -> Callable[[Any], AsyncClient]:
    """Return a maker of clients that speak to a server in this process, over a socket of its own."""

    def make(server: Any) -> AsyncClient:
        return AsyncClient(transport=Loopback(server), base_url="http://server", timeout=30)

    return make


class Loopback(AsyncBaseTransport):
    """Lets a server listen as long as a client speaks to it."""

    def __init__(self, server: Server) -> None:
        self._server, self._inner = server, AsyncHTTPTransport()
        self._hub: Hub | None = None
        self._port = 0

    async def handle_async_request(self, request: Request) -> Response:
        if self._hub is None:
            bound = socket.create_server(("127.0.0.1", 0))
            self._port = bound.getsockname()[1]
            self._hub = self._server.hub()
            await self._hub.listen(bound)
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
        if self._hub is not None:
            await self._hub.stop(10)


class Listening:
    """A server that answers in a thread of its own, for tests that speak bytes."""

    def __init__(self, server: Server, *, quick: bool) -> None:
        self.server, self._ready = server, threading.Event()
        bound = socket.create_server(("127.0.0.1", 0))
        self.port: int = bound.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(bound, quick))
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self, bound: socket.socket, quick: bool) -> None:
        (uvloop.run if quick else asyncio.run)(self._serve(bound))

    async def _serve(self, bound: socket.socket) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        self.hub = self.server.hub()
        await self.hub.listen(bound)
        self._ready.set()
        await self._told.wait()
        self.all_answered = await self.hub.stop(10)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Let the server stand still: it meets all at once what is sent meanwhile."""
        stands, goes_on = threading.Event(), threading.Event()

        def stand() -> None:
            stands.set()
            goes_on.wait(20)

        self._loop.call_soon_threadsafe(stand)
        assert stands.wait(20)
        try:
            yield
        finally:
            goes_on.set()

    def stop(self) -> None:
        """Begin to end."""
        self._loop.call_soon_threadsafe(self._told.set)

    def close(self) -> None:
        if self._thread.is_alive():
            self.stop()
            self._thread.join(20)


@pytest.fixture
def listen() -> Iterator[Callable[..., Listening]]:
    """Return a starter of servers."""
    started: list[Listening] = []

    def begin(server: Server, *, quick: bool = True) -> Listening:
        started.append(Listening(server, quick=quick))
        return started[-1]

    yield begin
    for one in started:
        one.close()
