"""The local actuator with a real supervisord and the real model server."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

import mlplat
from commands import until
from mlplat import bundle
from mlplat.controller.document import Revision
from mlplat.controller.gateway import Gateway, Plan, Upstream
from mlplat.controller.local import LocalActuator
from mlplat.controller.settings import Settings
from mlplat.controller.smoke import difference
from mlplat.labels import Name
from mlplat.supervision import Supervisor
from mlplat.watching import local as watched

LATE = Name("flights", "late")


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, bundle.Contract]:
    import numpy as np
    import sklearn
    import skops
    import skops.io
    from sklearn.linear_model import LinearRegression

    folder = tmp_path / "model"
    folder.mkdir()
    rows = np.array([[0.0], [1.0], [2.0]])
    skops.io.dump(LinearRegression().fit(rows, rows[:, 0] * 2), folder / "model.skops")
    contract = bundle.Contract(
        project="flights", model="late", task="regression", frame=False,
        columns=(bundle.Column(name="x", type="double"),),
        environment={"scikit-learn": sklearn.__version__, "skops": skops.__version__, "numpy": np.__version__},
        examples=(bundle.Example(row={"x": 3.0}, prediction=6.0),),
    )  # fmt: skip
    (folder / "mlplat.json").write_text(contract.model_dump_json())
    return folder, contract


@pytest.fixture
def actuator(tmp_path: Path, free_port: int) -> Iterator[LocalActuator]:
    settings = Settings(
        state=tmp_path / "s", tracking="", gateway="", gateway_admin="", xds=tmp_path / "xds", store="",
        python=Path(sys.executable), code=Path(mlplat.__file__).parents[1], first_port=free_port, port=0,
    )  # fmt: skip
    supervisor = Supervisor(settings.state)
    supervisor.start(Path(sys.executable))
    try:
        with httpx.Client(trust_env=False) as http:
            yield LocalActuator(lambda: settings, http)
    finally:
        supervisor.stop()


def revision(folder: Path, port: int, *, number: int = 1, digest: str | None = None) -> Revision:
    return Revision(
        number=number, model="flights/late", version="1", digest=digest or bundle.digest(folder), source="", port=port,
        state="starting", since=0, created=datetime(2013, 7, 1, tzinfo=UTC), folder=str(folder),
    )  # fmt: skip


def test_a_revision_starts_answers_as_judged_and_ends(
    actuator: LocalActuator, model: tuple[Path, bundle.Contract]
) -> None:
    folder, contract = model
    first = revision(folder, actuator.free_port([]))
    actuator.run(LATE, [first])
    until(lambda: actuator.condition(LATE, first).state == "ready")
    assert actuator.owners() == [LATE]
    assert difference(contract, actuator.predict(LATE, first, [example.row for example in contract.examples])) == ""
    pid = actuator.condition(LATE, first).pid

    wrong = revision(folder, actuator.free_port([first.port]), number=2, digest="sha256:" + "0" * 64)
    assert wrong.port != first.port
    actuator.run(LATE, [first, wrong])
    until(lambda: "error: " in actuator.last_words(LATE, wrong))
    assert actuator.condition(LATE, first).pid == pid, "another revision's start touched it"

    actuator.run(LATE, [])
    assert actuator.owners() == []
    assert actuator.free_port([]) == first.port


def test_a_process_that_is_stopped_is_silent_and_another_takes_its_place(
    actuator: LocalActuator, model: tuple[Path, bundle.Contract]
) -> None:
    only = revision(model[0], actuator.free_port([]))
    actuator.run(LATE, [only])
    until(lambda: actuator.condition(LATE, only).state == "ready")
    pid = actuator.condition(LATE, only).pid
    os.kill(pid, signal.SIGSTOP)
    seen = actuator.condition(LATE, only)
    assert (seen.state, seen.silent, seen.pid) == ("starting", True, pid)
    assert seen.age > 0
    actuator.restart(LATE, only)
    until(lambda: actuator.condition(LATE, only).state == "ready")
    assert actuator.condition(LATE, only).pid != pid


def test_a_port_in_use_is_passed_over(actuator: LocalActuator, free_port: int) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        assert actuator.free_port([]) > free_port


def test_a_revisions_private_columns_reach_its_server(actuator: LocalActuator, tmp_path: Path) -> None:
    from mlplat.controller.local import hash_key
    from mlplat.spec.privacy import LoggedColumns

    log = LoggedColumns(exclude=("name",), hash=("id", "-odd"))
    revision = Revision(
        number=1, model="flights/late", version="1", digest="sha256:0", source="", port=1, state="starting",
        since=0.0, created=datetime.now(UTC), folder=str(tmp_path), log=log,
    )  # fmt: skip
    arguments = actuator._program(LATE, "endpoint.flights.late.r1", revision).argv
    assert {"--log-exclude=name", "--log-hash=id", "--log-hash=-odd"} <= set(arguments)
    key = Path(arguments[arguments.index("--log-key") + 1])
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    assert len(before) == 32
    assert hash_key(actuator._state).read_bytes() == before


def test_a_server_is_told_where_its_project_s_features_are(
    actuator: LocalActuator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = Revision(
        number=1, model="late-flights/late", version="1", digest="sha256:0", source="", port=1, state="starting",
        since=0.0, created=datetime.now(UTC), folder=str(tmp_path),
    )  # fmt: skip
    endpoint = Name("late-flights", "late")
    assert "--features" not in actuator._program(endpoint, "a", revision).argv
    known = actuator._settings().model_copy(update={"features": "http://127.0.0.1:6566"})
    monkeypatch.setattr(actuator, "_settings", lambda: known)
    arguments = actuator._program(endpoint, "a", revision).argv
    assert arguments[arguments.index("--features") + 1] == "http://127.0.0.1:6566/late_flights"


def test_a_revision_without_private_columns_needs_no_key(actuator: LocalActuator, tmp_path: Path) -> None:
    revision = Revision(
        number=1, model="flights/late", version="1", digest="sha256:0", source="", port=1, state="starting",
        since=0.0, created=datetime.now(UTC), folder=str(tmp_path),
    )  # fmt: skip
    assert "--log-key" not in actuator._program(LATE, "endpoint.flights.late.r1", revision).argv


def test_prometheus_is_told_of_the_revisions_that_may_get_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        state=tmp_path / "s", tracking="", gateway="", gateway_admin="", xds=tmp_path / "xds", store="",
        python=Path(sys.executable), code=tmp_path, first_port=1, port=0,
    )  # fmt: skip
    monkeypatch.setattr(Gateway, "apply", lambda *_: None)
    file = settings.state / watched.FOLDER / watched.SERVERS
    with httpx.Client(trust_env=False) as http:
        actuator = LocalActuator(lambda: settings, http)
        actuator.direct(Plan((Upstream(LATE, "r1", 9001), Upstream(LATE, "r2", 9002))))
        told = {each["targets"][0]: each["labels"]["revision"] for each in json.loads(file.read_text())}
        assert told == {"127.0.0.1:9001": "r1", "127.0.0.1:9002": "r2"}
        actuator.direct(Plan())
        assert json.loads(file.read_text()) == []
        # Where it cannot be written, requests are directed all the same.
        file.unlink()
        file.mkdir()
        actuator.direct(Plan((Upstream(LATE, "r3", 9003),)))
