"""A model that leaves rows to a person says so on every way out: both routes, the counters, and the log."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from httpx import AsyncClient

from mlplat.bundle import CONTRACT_FILE, BundleError
from mlplat.serving.model import load
from mlplat.serving.options import Options
from mlplat.serving.server import build

Make = Callable[..., Options]
Clients = Callable[[Any], AsyncClient]


def banded(source: Path, folder: Path, **changes: Any) -> Path:
    """Copy a bundle and have it abstain between two of its answers, so that some of its examples are left."""
    shutil.copytree(source, folder)
    document = json.loads((folder / CONTRACT_FILE).read_text())
    (folder / CONTRACT_FILE).write_text(json.dumps(document | {"abstain": {"low": 0.1, "high": 0.7}} | changes))
    return folder


def test_a_row_that_is_left_has_no_label_and_is_counted_and_logged_as_such(
    pipeline_bundle: Path, options: Make, client: Clients, tmp_path: Path
) -> None:
    server = build(options(banded(pipeline_bundle, tmp_path / "bundle"), log_dir=tmp_path / "log"))
    rows = [dict(example.row) for example in server.served.model.contract.examples]
    plain = load(pipeline_bundle).predict(rows)
    left = [0.1 <= each["probability"] < 0.7 for each in plain]
    assert 0 < sum(left) < len(left)

    async def ask() -> tuple[Any, str, Any]:
        async with client(server) as http:
            answer = (await http.post("/predict", json={"rows": rows})).json()
            return answer, (await http.get("/metrics")).text, (await http.get("/openapi.json")).json()

    answer, counted, described = asyncio.run(ask())
    assert answer["predictions"] == [
        {**each, "label": None if withheld else each["label"], "abstained": withheld}
        for each, withheld in zip(plain, left, strict=True)
    ]
    schema = {"$ref": "#/components/schemas/Predictions", "components": described["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)
    assert f"mlplat_abstained_total {sum(left)}.0" in counted
    assert server.log is not None
    server.log.close()
    (part,) = (tmp_path / "log").glob("*.parquet")
    assert pq.read_table(part).column("abstained").to_pylist() == left


def test_tensors_hold_a_label_for_whoever_cannot_wait_and_say_where_not_to_take_it(
    graph_bundle: Path, options: Make, client: Clients, tmp_path: Path
) -> None:
    server = build(options(banded(graph_bundle, tmp_path / "bundle")))
    contract = server.served.model.contract
    rows = [example.row for example in contract.examples]
    kinds = {"boolean": "BOOL", "long": "INT64", "double": "FP64", "string": "BYTES"}
    inputs = [
        {
            "name": each.name,
            "datatype": kinds[each.type],
            "shape": [len(rows)],
            "data": [row[each.name] for row in rows],
        }
        for each in contract.columns
    ]

    async def ask() -> tuple[Any, Any, Any]:
        async with client(server) as http:
            base = f"/v2/models/{contract.model}"
            asked = {"inputs": inputs, "outputs": [{"name": "abstained"}]}
            return (
                (await http.post(f"{base}/infer", json={"inputs": inputs})).json(),
                (await http.post(f"{base}/infer", json=asked)).json(),
                (await http.get(base)).json(),
            )

    answer, only, described = asyncio.run(ask())
    found = {output["name"]: output for output in answer["outputs"]}
    assert list(found) == ["label", "probability", "abstained"]
    assert found["abstained"]["datatype"] == "BOOL"
    assert found["abstained"]["data"] == [0.1 <= value < 0.7 for value in found["probability"]["data"]]
    assert found["label"]["data"] == [int(value >= 0.4) for value in found["probability"]["data"]]
    assert [output["name"] for output in only["outputs"]] == ["abstained"]
    assert [(each["name"], each["datatype"]) for each in described["outputs"]][2:] == [("abstained", "BOOL")]


@pytest.mark.parametrize("band", [{"low": 0.45, "high": 0.7}, {"low": 0.1, "high": 0.3}])
def test_a_band_beside_the_threshold_is_no_contract(
    pipeline_bundle: Path, tmp_path: Path, band: dict[str, float]
) -> None:
    """It would call rows below the band positive, or those above it negative."""
    with pytest.raises(BundleError, match="abstain: must be a band around"):
        load(banded(pipeline_bundle, tmp_path / "bundle", abstain=band))


def test_a_contract_without_a_band_is_written_as_before_there_were_any(pipeline_bundle: Path) -> None:
    assert "abstain" not in json.loads(load(pipeline_bundle).contract.model_dump_json())
