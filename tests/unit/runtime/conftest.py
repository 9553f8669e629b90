"""Small projects and rows that every test of the runtime can be made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlplat.spec.project import ProjectSpec, override

MakeSpec = Callable[..., ProjectSpec]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keep trees from waiting for a pool of threads: tests run side by side and their rows are few."""
    with threadpool_limits(1):
        yield


def _spec(**settings: Any) -> ProjectSpec:
    """Return a timed binary project with some keys, written with `__` for a dot, set otherwise."""
    plain = ProjectSpec.model_validate_json(
        '{"project": "tests", "model": "late", "task": "binary",'
        ' "data": {"source": "rows.csv", "target": "y", "time": "at"}}'
    )
    return override(plain, {key.replace("__", "."): value for key, value in settings.items()})


@pytest.fixture(scope="session")
def make_spec() -> MakeSpec:
    """Return what makes a project's spec."""
    return _spec


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    """Return 200 days of ten rows each with texts, numbers, nulls, and a label that they explain in part."""
    source = np.random.default_rng(3)
    count = 2000
    frame = pd.DataFrame(
        {
            "at": pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(np.arange(count) * 144, unit="min"),
            "carrier": source.choice(["AA", "B6", "UA"], count),
            "hour": source.integers(5, 24, count),
            "wind": np.where(source.random(count) < 0.1, np.nan, source.normal(10, 4, count)),
            "holiday": source.random(count) < 0.1,
        }
    )
    odds = frame["hour"] / 8 + (frame["carrier"] == "B6") + np.nan_to_num(frame["wind"], nan=10) / 8 - 4
    frame["y"] = (source.random(count) < 1 / (1 + np.exp(-odds))).astype(int)
    return frame


@pytest.fixture(scope="session")
def _object_server() -> Iterator[str]:
    made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    yield f"http://{host}:{port}"
    made.stop()


@pytest.fixture
def object_store(_object_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have this process's variables lead to an object store that answers as S3 does; return its address."""
    settings = {
        "AWS_ENDPOINT_URL_S3": _object_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return _object_server
