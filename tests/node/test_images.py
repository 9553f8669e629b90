"""The shipped Dockerfiles, built for real on a base of Debian packages, and their programs started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pytest
import skops
import skops.io
from sklearn import __version__ as sklearn_version
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import containers
import postgres
from commands import Mlplat, free_ports, until
from containers import Image, Store
from mlplat.bundle import CONTRACT_FILE, Column, Contract, digest
from mlplat.images import NAMES, tagged
from mlplat.services.cluster import launch
from mlplat.services.cluster.features import features
from mlplat.services.cluster.tracking import tracking
from mlplat.services.service import Ref, Text
from mlplat.spec.platform import PlatformSpec, TrackingSpec, read_platform

pytestmark = pytest.mark.node
BUNDLE = "/tmp/bundle"  # noqa: S108 - in the container
ARTIFACTS = "/tmp/artifacts"  # noqa: S108 - likewise
MARK = "a-secret-of-the-index"
BUILD_SECONDS = 1800.0  # two of four images hold half a gigabyte
DEADLINE = 120.0  # seconds; MLflow alone imports for ten on a busy computer


@pytest.fixture(scope="module")
def store() -> Store:
    """Return the storage to build in; one line says why there is none."""
    if why := containers.lacking():
        if "node" in os.environ.get("MLPLAT_REQUIRE", "").split(","):
            pytest.fail(f"images cannot be built here: {why}")
        pytest.skip(f"images cannot be built here: {why}")
    return containers.store()


@pytest.fixture(scope="module")
def stack(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a stack whose images have this computer's base."""
    file = tmp_path_factory.mktemp("platform") / "stacks" / "Pulumi.node.yaml"
    file.parent.mkdir()
    buckets = {name: f"the-{name}" for name in ("data", "artifacts", "features", "pipelines")}
    kubernetes = {
        "context": "none",
        "images": {"base": store.base},
        "databases": {"tracking": "tracking-database", "features": "features-database"},
        "objects": {"buckets": buckets},
    }
    platform = {"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": kubernetes}
    file.write_text(json.dumps({"config": {"mlplat:platform": platform}}))
    return file


@pytest.fixture(scope="module")
def spec(stack: Path) -> PlatformSpec:
    """Return what the stack's file says."""
    return read_platform(stack)


@pytest.fixture(scope="module")
def built(store: Store, stack: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build every image as a person would; return their references."""
    folder = tmp_path_factory.mktemp("user")
    settings = containers.pip_settings(folder)
    with Path(settings[1]).open("a") as file:
        file.write(f"# {MARK}\n")
    typed = Mlplat(folder, env=store.environment)
    command = ("images", "build", "-s", "node", "--builder", "buildah", "--json")
    references: list[str] = typed.run(*command, *settings, cwd=stack.parents[1], timeout=BUILD_SECONDS).json()
    return references


@pytest.fixture
def opened(store: Store, built: list[str]) -> Iterator[Callable[[str], Image]]:
    """Return what lays an image's files out, by its name."""
    references = dict(zip(NAMES, built, strict=True))
    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(store.opened(references[name]))


def test_build_makes_every_image_under_the_tag_of_its_content(
    store: Store, spec: PlatformSpec, stack: Path, built: list[str]
) -> None:
    assert built == [tagged(spec, name) for name in NAMES]
    assert all(store.has(reference) for reference in built)
    typed = Mlplat(stack.parent, env=store.environment)
    again = typed.run("images", "build", "-s", "node", "--builder", "buildah", cwd=stack.parents[1])
    assert again.err.count("is built already") == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_holds_what_runs_and_nothing_that_built_it(opened: Callable[[str], Image], name: str) -> None:
    image = opened(name)
    user = image.config["User"].partition(":")[0]
    assert user.isdigit()
    assert int(user) >= 10_000
    assert image.config["Labels"]["org.opencontainers.image.title"] == f"mlplat-{name}"
    packages = next((image.root / "opt/mlplat/lib").glob("python*/site-packages"))
    assert not list(packages.glob("pip*"))
    assert not (image.root / "build").exists()
    assert not (image.root / "run/secrets").exists()
    found = [path for path in (image.root / "opt").rglob("*") if not path.is_symlink()]
    assert [path for path in found if path.stat().st_mode & 0o022] == []
    search = ["grep", "-rlF", MARK, "etc", "opt", "root", "run"]
    done = subprocess.run(search, cwd=image.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("name", NAMES)
def test_everything_in_an_image_is_compiled_already(opened: Callable[[str], Image], name: str) -> None:
    """A root that is read-only keeps nothing: a module without its compiled file is compiled at every start."""
    packages = next((opened(name).root / "opt/mlplat/lib").glob("python*/site-packages"))
    modules = list(packages.rglob("*.py"))
    bare = [path for path in modules if not list(path.parent.glob(f"__pycache__/{path.stem}.cpython-*.pyc"))]
    # Those for other Pythons, which cannot be.
    assert len(bare) < len(modules) / 100, [str(path.relative_to(packages)) for path in bare]


def test_the_model_server_answers_with_a_real_model(opened: Callable[[str], Image], tmp_path: Path) -> None:
    folder, row, expected = bundle(tmp_path)
    (port,) = free_ports(1)
    given = {"bundle": BUNDLE, "digest": digest(folder), "endpoint": "lab/signal", "revision": "r1"}
    arguments = [f"--{name}={value}" for name, value in {**given, "model-version": "1", "port": port}.items()]
    with ended(opened("serving").start(*arguments, bundle=folder)) as child:
        answered(child, f"http://127.0.0.1:{port}/v2/health/ready")
        body = json.dumps({"rows": [row]}).encode()
        said = json.loads(answered(child, f"http://127.0.0.1:{port}/predict", body))
    assert said["predictions"] == [
        {"label": "yes" if expected >= 0.5 else "no", "probability": pytest.approx(expected)}
    ]


def test_mlflow_keeps_its_runs_in_postgresql(opened: Callable[[str], Image]) -> None:
    """By the very commands that a cluster runs: the migration's job, then the server."""
    image, service = opened("tracking"), tracking(on_a_free_port())
    (migration,) = [job for job in service.setup if job.name == "migrate"]
    with database() as url:
        env = {name: value for name, value in service.env.items() if isinstance(value, str)}
        env |= {launch.DATABASE_URL: url, "_MLFLOW_SERVER_ARTIFACT_DESTINATION": ARTIFACTS}
        code, said = image.output(entrypoint=written(migration.argv), env=env, seconds=BUILD_SECONDS)
        assert code == 0, said
        with ended(image.start(entrypoint=written(service.argv), env=env)) as child:
            api = f"http://127.0.0.1:{service.ports['http']}/api/2.0/mlflow/experiments"
            made = json.loads(answered(child, f"{api}/create", b'{"name": "here"}'))
            found = json.loads(answered(child, f"{api}/get?experiment_id={made['experiment_id']}"))
    assert found["experiment"]["name"] == "here"
    assert found["experiment"]["artifact_location"].startswith("mlflow-artifacts:/")


def test_mlflow_s_image_reaches_s3(opened: Callable[[str], Image]) -> None:
    code, said = opened("tracking").output("-c", "import boto3; print(boto3.__version__)", entrypoint=["python"])
    assert code == 0, said


def test_the_controller_and_its_jobs_say_how_they_are_used(opened: Callable[[str], Image]) -> None:
    image = opened("controller")
    for module in ("mlplat.controller.kubernetes", "mlplat.jobs.databases", "mlplat.jobs.tables"):
        code, said = image.output("-m", module, "--help", entrypoint=["python"])
        assert code == 0, said
        assert f"usage: python -m {module}" in said


def test_feast_keeps_its_registry_in_postgresql(opened: Callable[[str], Image], tmp_path: Path) -> None:
    image, service = opened("features"), features(PlatformSpec())
    for name, document in service.files.items():
        (tmp_path / name).write_text(json.dumps(document))
    tmp_path.chmod(0o755)
    schema = next(job for job in service.setup if job.name == "schema")
    with database() as url:
        how: dict[str, Any] = {"env": {launch.DATABASE_URL: url}, "bundle": tmp_path}
        code, said = image.output(entrypoint=written(schema.argv), **how)
        assert code == 0, said
        with ended(image.start(entrypoint=written(service.argv), **how), 1) as child:
            until(lambda: child.poll() is not None or is_open(service.ports["grpc"]), DEADLINE, "Feast")
            assert child.poll() is None, child.stdout.read() if child.stdout else ""


@contextlib.contextmanager
def database() -> Iterator[str]:
    """Start a PostgreSQL with a database that belongs to its user, as on a cluster; the value is its address."""
    programs = postgres.binaries()
    if programs is None:
        pytest.skip("there is no PostgreSQL here: `make tools` installs it")
    with postgres.running(programs) as server:
        who: dict[str, Any] = {"user": postgres.MASTER, "password": postgres.PASSWORD, "sslmode": "require"}
        with psycopg.connect(host="127.0.0.1", port=server.port, dbname="postgres", autocommit=True, **who) as admin:
            admin.execute("CREATE DATABASE application")
        password = urllib.parse.quote(postgres.PASSWORD, safe="")
        yield f"postgresql://{postgres.MASTER}:{password}@127.0.0.1:{server.port}/application?sslmode=require"


def written(argv: Sequence[Text]) -> list[str]:
    """Return a service's command as a cluster writes it, its files where a bundle would be."""
    known = {"files": BUNDLE, "host": "127.0.0.1"}
    parts = [each if isinstance(each, tuple) else (each,) for each in argv]
    return ["".join(known[part.name] if isinstance(part, Ref) else part for part in each) for each in parts]


def on_a_free_port() -> PlatformSpec:
    """Return a platform whose MLflow has a port that nothing listens on."""
    return PlatformSpec(tracking=TrackingSpec(port=free_ports(1)[0]))


def is_open(port: int) -> bool:
    """Tell whether something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def bundle(folder: Path) -> tuple[Path, dict[str, float], float]:
    """Train a small model; return its bundle, a row, and the model's own answer to it."""
    values = np.random.default_rng(3).normal(size=(300, 4))
    labels = ["yes" if row[0] + row[1] > 0 else "no" for row in values]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(values, labels)
    made = folder / "bundle"
    made.mkdir()
    skops.io.dump(model, made / "model.skops")
    columns = tuple(Column(name=f"x{place}", type="double") for place in range(4))
    contract = Contract(
        project="lab",
        model="signal",
        task="binary",
        columns=columns,
        classes=("no", "yes"),
        frame=False,
        environment={"scikit-learn": sklearn_version, "skops": skops.__version__},
    )
    (made / CONTRACT_FILE).write_text(contract.model_dump_json())
    row = {f"x{place}": float(value) for place, value in enumerate(values[0])}
    return made, row, float(model.predict_proba(values[:1])[0, 1])


@contextlib.contextmanager
def ended(child: subprocess.Popen[str], *codes: int) -> Iterator[subprocess.Popen[str]]:
    """End a program with the context, and hold that it ends as asked: well, or by the signal itself, as uvicorn."""
    try:
        yield child
        child.terminate()
        assert child.wait(DEADLINE) in (0, -signal.SIGTERM, *codes), child.stdout.read() if child.stdout else ""
    finally:
        child.kill()
        child.communicate()


def answered(child: subprocess.Popen[str], url: str, body: bytes | None = None) -> bytes:
    """Ask until there is a good answer, and return it; fail with the program's output when it ends before."""
    last = ""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert child.poll() is None, child.stdout.read() if child.stdout else ""
        try:
            headers = {"Content-Type": "application/json"}
            answer = httpx.request("POST" if body else "GET", url, content=body, headers=headers, timeout=30)
        except httpx.TransportError as error:
            last = str(error)
        else:
            if answer.is_success:
                return answer.content
            last = answer.text
        time.sleep(0.1)
    pytest.fail(f"{url} gave no good answer: {last}")
