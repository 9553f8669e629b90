"""A whole platform on a test's node, as a person puts one there: images built, pushed and locked, then `mlplat up`.

Beside the node stand what a company has already: a registry of images, a PostgreSQL and an S3 (moto's), and on it Envoy
Gateway. Everything else is the platform's own.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg
from moto.server import ThreadedMotoServer

import containers
import kubecrds
import kubegateway
import kubenode
import kuberegistry
import postgres
from commands import ROOT, Done, until
from kubeengine import STACK, Repository, spec
from mlplat.cluster import Cluster
from mlplat.images import lock
from mlplat.manifests import names

SECONDS = 1800.0
"""Longest time of a command: two of the images hold half a gigabyte, and a node has to take them too."""
KEYS = {"access_key": "a-key-of-the-store", "secret_key": "a secret of the store"}
BUCKETS = {each: f"the-{each}" for each in ("data", "artifacts", "features", "pipelines")}
DATABASES = ("tracking", "features")
REGION = "us-east-1"
ROWS_PER_PART = 200
"""Of the prediction logs: what one request can bring."""
CALLER, API_KEY = "shop", "a-key-of-the-shop"
WRITER, WRITERS_KEY = "ada", "a-key-of-ada"
TEAM = "flights"


def missing() -> str | None:
    """Return the line that says why there can be no platform here, or None."""
    no_database = None if postgres.binaries() else "no PostgreSQL here: `scripts/tools postgres` installs it"
    return kubegateway.missing() or containers.lacking() or kuberegistry.missing() or no_database


@dataclass(frozen=True)
class Platform:
    """A platform that stands."""

    node: kubenode.Node
    repository: Repository
    cluster: Cluster
    objects: str
    """Address of the object store."""

    def entry(self) -> dict[str, str]:
        """Return the variables by which a client enters the object store."""
        keys = {"AWS_ACCESS_KEY_ID": KEYS["access_key"], "AWS_SECRET_ACCESS_KEY": KEYS["secret_key"]}
        return {"AWS_ENDPOINT_URL_S3": self.objects, "AWS_DEFAULT_REGION": REGION, **keys}

    def run(self, *argv: str, code: int | None = 0) -> Done:
        """Run the command line on the stack."""
        return self.repository.run(*argv, code=code)

    def gateway(self) -> str:
        """Return where the gateway answers, from this computer."""
        owned = {"gateway.envoyproxy.io/owning-gateway-name": names.GATEWAY}
        (found,) = self.cluster.list("v1", "Service", names.PROXIES, owned)
        return f"http://{found['spec']['clusterIP']}"

    def publish(self, model: str, kind: str = "sound") -> str:
        """Register a version of a model from this computer, as a project's pipeline does; return its number."""
        with self.opened("tracking") as url:
            done = self.register(url, model, kind)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    def register(self, url: str, model: str, kind: str = "sound", token: str = "") -> subprocess.CompletedProcess[str]:
        """Register a version with MLflow's own client, by an address and the token that opens it."""
        argv = [sys.executable, str(ROOT / "tests" / "support" / "publish.py"), url, model, kind]
        # One answer is enough to know that there is no way in.
        env = {**os.environ, "MLFLOW_TRACKING_TOKEN": token, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        where = self.repository.folder
        return subprocess.run(argv, cwd=where, env=env, capture_output=True, text=True, timeout=300, check=False)

    @contextlib.contextmanager
    def opened(self, service: str) -> Iterator[str]:
        """Forward a port of this computer to a service, as a person does; yield its address."""
        forwarding = self.repository.mlplat.start("open", service, "-s", STACK)
        try:
            assert forwarding.stdout
            yield forwarding.stdout.readline().strip()
        finally:
            forwarding.send_signal(signal.SIGINT)
            _, said = forwarding.communicate(timeout=60)
        assert forwarding.returncode == 0, said


@contextlib.contextmanager
def standing(folder: Path) -> Iterator[Platform]:
    """Put a platform on a node below a folder, by the commands of the how-to; end it all."""
    store = containers.store()
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(kubenode.running(folder / "node", data=kubecrds.prepared()))
        registry = kuberegistry.start(node.api.processes, store)
        database = stack.enter_context(_database(kubenode.ADDRESS))
        objects = stack.enter_context(_objects(kubenode.ADDRESS))
        cluster = stack.enter_context(node.api.cluster())
        node.load(*kubegateway.images(folder))
        node.tag(kubegateway.PROXY, kubegateway.DEFAULT_PROXY)
        for each in kubegateway.documents():
            cluster.apply(each)
        beside = _adopted(store, registry, objects, database.port)
        made = Platform(node, _repository(folder / "repository", node, store, beside), cluster, objects)
        _images(made, folder)
        secrets = {f"{each}-database": {"url": _address(kubenode.ADDRESS, database.port, each)} for each in DATABASES}
        _up(made, {**secrets, "objects": KEYS})
        yield made


def _adopted(store: containers.Store, registry: str, objects: str, port: int) -> dict[str, Any]:
    """Return what a stack file says of all that is there already."""
    return {
        "images": {"registry": f"{registry}/mlplat", "base": store.base},
        "databases": {**{each: f"{each}-database" for each in DATABASES}, "port": port},
        "objects": {"endpoint": objects, "buckets": BUCKETS, "secret": "objects"},
        "exposure": {"authentication": "api-keys"},
        "addons": dict.fromkeys(("secrets", "autoscaling", "pipelines", "queues", "monitoring"), "off"),
    }


def _repository(folder: Path, node: kubenode.Node, store: containers.Store, settings: dict[str, Any]) -> Repository:
    made = Repository(folder, node.api, env=store.environment, seconds=SECONDS)
    log = {"rows_per_part": ROWS_PER_PART, "retention": {"days": 30}}
    teams = {TEAM: {"projects": [TEAM], "cpu": 2}}
    made.write(spec(node.api, kubernetes=settings, serving={"prediction_log": log}, teams=teams))
    # What a person has before: a stack file, and no lock.
    lock.lock_file(made.file).unlink()
    return made


def _images(made: Platform, folder: Path) -> None:
    settings = containers.pip_settings(folder)
    for verb, given in (("build", settings), ("push", []), ("lock", [])):
        made.run("images", verb, "--builder", "buildah", *given)


def _up(made: Platform, secrets: dict[str, dict[str, str]]) -> None:
    """Bring it up; what it adopts is put there while it waits, as the how-to says."""
    secrets = {**secrets, "tracking-keys": {WRITER: WRITERS_KEY}}
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(made.run, "up", "--yes")
        for namespace, given in ((names.NAMESPACE, secrets), (TEAM, {"endpoint-keys": {CALLER: API_KEY}})):
            _wait(made.cluster, namespace, running)
            for name, values in given.items():
                if not running.done():
                    made.cluster.apply(_secret(name, namespace, values))
        running.result()


def _wait(cluster: Cluster, namespace: str, running: Future[Done]) -> None:
    until(lambda: running.done() or cluster.get("v1", "Namespace", namespace), 600, f"the namespace {namespace}")


def _secret(name: str, namespace: str, values: dict[str, str]) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@contextlib.contextmanager
def _database(host: str) -> Iterator[postgres.Postgres]:
    """Start a PostgreSQL with a database for each application that has one."""
    programs = postgres.binaries()
    assert programs
    with postgres.running(programs, host) as server:
        who: dict[str, Any] = {"user": postgres.MASTER, "password": postgres.PASSWORD, "sslmode": "require"}
        with psycopg.connect(host=host, port=server.port, dbname="postgres", autocommit=True, **who) as admin:
            for each in DATABASES:
                admin.execute(f"CREATE DATABASE {each}".encode())
        yield server


def _address(host: str, port: int, database: str) -> str:
    word = urllib.parse.quote(postgres.PASSWORD, safe="")
    return f"postgresql://{postgres.MASTER}:{word}@{host}:{port}/{database}?sslmode=require"


def store(address: str) -> Any:
    """Return a client of the object store at an address."""
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )


@contextlib.contextmanager
def _objects(host: str) -> Iterator[str]:
    """Start an S3 with the platform's buckets; the value is its address."""
    server = ThreadedMotoServer(ip_address=host, port=0, verbose=False)
    server.start()
    try:
        at, port = server.get_host_and_port()
        address = f"http://{at}:{port}"
        client = store(address)
        for bucket in BUCKETS.values():
            client.create_bucket(Bucket=bucket)
        yield address
    finally:
        server.stop()
