"""The servers that are measured, each as its makers ship it, on loopback and with one process that answers.

mlplat's runs as the controller starts it: a copy of the package, the environment `serving`, the prediction log and the
metrics on. MLServer has no parallel workers, which are slower here and do not start beside a current uvloop, and its
access log off (`debug`); `mlflow models serve` is as it comes. All answer with probabilities.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.forms import Form, array_form, columns_form, frame_form, rows_form, split_form
from bench.models import PROJECT, ROOT, Sample
from bench.process import Command
from mlplat import codebase, environment
from mlplat.spec.platform import PredictionLogSpec

CACHE = ROOT / ".cache" / "bench"
REQUIREMENTS = Path(__file__).parent / "environments"
PEERS = ("mlserver", "mlflow", "echo")
ECHO = "echo"
ONNX, SKOPS = "mlplat ONNX", "mlplat scikit-learn"
MLSERVER_SKLEARN, MLSERVER_MLFLOW, MLFLOW = "MLServer-sklearn", "MLServer-mlflow", "mlflow models serve"

Start = Callable[[Path, list[int]], Command]
"""From an empty folder and three free ports, the first one for requests, to how a server is started."""


@dataclass(frozen=True)
class Server:
    """One server with one model."""

    name: str
    sample: Sample
    start: Start
    forms: tuple[Form, ...]

    @property
    def is_ours(self) -> bool:
        """Tell whether it is mlplat's."""
        return self.name in (ONNX, SKOPS)


@dataclass(frozen=True)
class Pythons:
    """The interpreters of the environments that servers run in."""

    serving: Path
    mlserver: Path
    mlflow: Path
    echo: Path

    @classmethod
    def ensure(cls, progress: environment.Progress) -> Pythons:
        """Make the environments that are not there. Raises `InstallError`."""
        peers = [
            environment.ensure(REQUIREMENTS / f"{name}.txt", CACHE / "envs" / name, progress=progress) for name in PEERS
        ]
        return cls(environment.service("serving", progress=progress), *peers)


def echo(pythons: Pythons) -> Start:
    """Return how the server is started that only answers (`bench.echo`)."""

    def start(_: Path, ports: list[int]) -> Command:
        options = ["--host", "127.0.0.1", "--port", str(ports[0]), "--no-access-log", "--lifespan", "off"]
        argv = [str(pythons.echo), "-m", "uvicorn", "bench.echo:application", *options]
        return Command(argv, f"http://127.0.0.1:{ports[0]}/", ROOT)

    return start


def of(sample: Sample, pythons: Pythons) -> list[Server]:
    """Return every server of a model: mlplat's two first, MLServer's, MLflow's."""
    path = f"/v2/models/{sample.name}/infer"
    frame = frame_form(path, sample.columns, output="predict_proba")
    form = array_form(path, output="predict_proba") if sample.is_matrix else frame
    folder = sample.bundles["skops"].folder
    start = _mlserver("mlserver_sklearn.SKLearnModel", sample.joblib, sample, pythons)
    found = [
        _mlplat(ONNX, sample, "onnx", pythons),
        _mlplat(SKOPS, sample, "skops", pythons),
        Server(MLSERVER_SKLEARN, sample, start, (form,)),
        Server(MLFLOW, sample, _mlflow(sample, pythons), (split_form("/invocations", sample.columns),)),
    ]
    if sample.is_matrix:
        return found  # a DataFrame would only be in its way
    start = _mlserver("mlserver_mlflow.MLflowRuntime", folder, sample, pythons)
    return [*found, Server(MLSERVER_MLFLOW, sample, start, (frame_form(path, sample.columns, output=None),))]


def _mlplat(name: str, sample: Sample, form: str, pythons: Pythons) -> Server:
    bundle, log = sample.bundles[form], PredictionLogSpec()

    def start(folder: Path, ports: list[int]) -> Command:
        argv = [
            *(str(pythons.serving), "-m", "mlplat.serving", "--port", str(ports[0])),
            *("--bundle", str(bundle.folder), "--digest", bundle.digest),
            *("--endpoint", f"{PROJECT}/{sample.name}", "--revision", "r1", "--model-version", "1"),
            *("--log-dir", str(folder / "predictions")),
            *("--log-rows", str(log.rows_per_part), "--log-seconds", str(log.seconds_per_part)),
        ]
        env = {"PYTHONPATH": str(codebase.folder()), "OMP_NUM_THREADS": "1"}
        return Command(argv, f"http://127.0.0.1:{ports[0]}/v2/health/ready", folder, env)

    return Server(name, sample, start, forms(sample, form))


def forms(sample: Sample, form: str) -> tuple[Form, Form]:
    """Return the ways to ask mlplat for a model in one of its formats."""
    contract = sample.bundles[form].contract
    path = f"/v2/models/{contract.model}/infer"
    tensors = (
        columns_form(path, contract.columns, output="probability")
        if contract.frame
        else array_form(path, output="probability")
    )
    return rows_form(), tensors


def _mlserver(implementation: str, model: Path, sample: Sample, pythons: Pythons) -> Start:
    def start(folder: Path, ports: list[int]) -> Command:
        http, grpc, metrics = ports
        settings = {
            "host": "127.0.0.1",
            "http_port": http,
            "grpc_port": grpc,
            "metrics_port": metrics,
            "parallel_workers": 0,
            "debug": False,
        }
        described = {"name": sample.name, "implementation": implementation, "parameters": {"uri": str(model)}}
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(described))
        argv = [str(pythons.mlserver.parent / "mlserver"), "start", str(folder)]
        ready = f"http://127.0.0.1:{http}/v2/models/{sample.name}/ready"
        return Command(argv, ready, folder, {**_on_path(pythons.mlserver), **_ONE_THREAD})

    return start


def _mlflow(sample: Sample, pythons: Pythons) -> Start:
    def start(folder: Path, ports: list[int]) -> Command:
        argv = [
            *(str(pythons.mlflow.parent / "mlflow"), "models", "serve", "--env-manager", "local"),
            *("--model-uri", str(sample.bundles["skops"].folder), "--host", "127.0.0.1", "--port", str(ports[0])),
        ]
        env = {**_on_path(pythons.mlflow), **_ONE_THREAD, "MLFLOW_DISABLE_TELEMETRY": "true"}
        return Command(argv, f"http://127.0.0.1:{ports[0]}/ping", folder, env)

    return start


_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""One row is too small to share among threads, for any of the servers."""


def _on_path(python: Path) -> dict[str, str]:
    # Both start programs of their environment by name.
    return {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
