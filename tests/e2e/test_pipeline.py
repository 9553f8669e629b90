"""A flow compiled for a cluster comes to what the same flow comes to on this computer.

The platform is real, and so are the compiler, the commands and the model; the bucket is moto's, and the pods are
processes. Argo itself is not run here.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from mlflow import MlflowClient
from moto.server import ThreadedMotoServer

import argo
from commands import Mlplat
from mlplat.manifests import pipeline
from mlplat.runs import compiled
from mlplat.runs.compiled import Storage
from mlplat.spec.pipelines import PipelineSpec

from .test_journey import Project, _settings, shop

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not argo.possible(), reason="steps need root, for the folder at the path of their pods"),
]
UNTIL = "2024-05-20"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=endpoint, **KEYS).create_bucket(Bucket="pipelines")
    yield Storage("s3://pipelines/team/metaflow", endpoint, access_key="test", secret_key="test")  # noqa: S106
    server.stop()


@pytest.fixture(scope="module")
def project(platform: Mlplat) -> Project:
    data = shop(platform.folder / "piped.csv")
    platform.run("new", "piped", "--defaults", "--set", f"data={data}", "--set", "target=bought", "--set", "time=seen")
    made = Project(platform, platform.folder / "piped", "piped/bought")
    _settings(made.folder, family="linear")
    return made


def test_a_compiled_flow_comes_to_what_the_flow_comes_to_here(
    project: Project, storage: Storage, tmp_path: Path
) -> None:
    here = project.train("--until", UNTIL)
    workflow = _compiled(project, storage, tmp_path, {"until": UNTIL})
    workflow.run()
    there = json.loads((tmp_path / "result.json").read_text())
    assert there["split"] == here["split"]
    assert there["metrics"] == here["metrics"]
    # The second is judged against the first, and is no better.
    assert (here["status"], there["status"]) == ("registered", "registered")
    # Nothing was searched, so nothing waited for a search.
    unused = {name for name, state in workflow.states.items() if state != "Succeeded"}
    assert unused == {"search", "search-foreach-parts", "compare"}
    # What steps handed on is kept for good, and nothing is ever erased from it.
    handed_on = [*_files(project.folder / ".metaflow"), *_objects(storage)]
    assert len(handed_on) > len(workflow.states)
    (kept,) = (project.folder / ".mlplat/data").rglob("rows.parquet")
    prices = pd.read_parquet(kept)["price"].drop_duplicates()[::40]
    assert len(prices) > 50
    assert not [price for price in prices if any(struct.pack("<d", price) in content for content in handed_on)]


def _files(folder: Path) -> Iterator[bytes]:
    """Yield what Metaflow's store of a folder holds."""
    return (_unpacked(each.read_bytes()) for each in folder.rglob("*") if each.is_file())


def _objects(storage: Storage) -> Iterator[bytes]:
    """Yield what Metaflow's store in the bucket holds."""
    client = boto3.client("s3", endpoint_url=storage.endpoint, **KEYS)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="pipelines"):
        for each in page["Contents"]:
            yield _unpacked(client.get_object(Bucket="pipelines", Key=each["Key"])["Body"].read())


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def test_a_compiled_search_is_a_task_a_part_and_all_of_its_trials_are_written_down(
    project: Project, storage: Storage, tmp_path: Path
) -> None:
    wanted = {"search.trials": 2, "search.shards": 2, "search.folds": 2}
    workflow = _compiled(project, storage, tmp_path, {"until": UNTIL, "set-json": json.dumps(wanted)})
    workflow.run()
    assert set(workflow.states.values()) == {"Succeeded"}
    result = json.loads((tmp_path / "result.json").read_text())
    child = f"tags.`mlflow.parentRunId` = '{result['run_id']}'"
    server = project.platform.run("outputs", "--json").json()["endpoints"]["tracking"]
    client = MlflowClient(server)
    experiment = client.get_run(result["run_id"]).info.experiment_id
    tried = {run.data.tags["mlplat.trial"] for run in client.search_runs([experiment], child)}
    assert tried == {"linear-0-0", "linear-1-0"}


def _compiled(project: Project, storage: Storage, folder: Path, parameters: dict[str, Any]) -> argo.Workflow:
    """Return a run of the project's flow as it is placed on a cluster."""
    made = compiled.compile_flow(
        project.folder, Path(sys.executable), "train", title="piped", storage=storage, namespace="team", retries=2
    )
    addresses = project.platform.run("outputs", "--json").json()
    site = pipeline.Site(
        "team", "piped", "registry.example.com/piped@sha256:" + "0" * 64,
        variables={
            "MLFLOW_TRACKING_URI": addresses["endpoints"]["tracking"],
            "METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1",
        },
    )  # fmt: skip
    return argo.Workflow(
        pipeline.template(made, site, PipelineSpec(), flow="train", commit="1" * 40),
        # Its name is that of what it keeps in the store, which both tests share.
        f"piped-train-{len(parameters)}",
        folder,
        _variables(project, storage, folder / "result.json"),
        parameters,
    )


def _variables(project: Project, storage: Storage, result: Path) -> dict[str, str]:
    """Return what a pod has of its image and of its platform."""
    known: dict[str, Any] = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(project.folder / "src"),
        "METAFLOW_S3_ENDPOINT_URL": storage.endpoint,
        "AWS_ACCESS_KEY_ID": storage.access_key,
        "AWS_SECRET_ACCESS_KEY": storage.secret_key,
        "AWS_DEFAULT_REGION": storage.region,
        "MLPLAT_RESULT": str(result),
        "MLPLAT_PLATFORM": "tests",
        "MLPLAT_STACK": "local",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return {name: str(value) for name, value in known.items()}
