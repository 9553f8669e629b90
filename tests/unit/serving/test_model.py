"""Loading a bundle: everything that can be wrong with it is found before a request meets it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlplat.bundle import CONTRACT_FILE, BundleError, digest
from mlplat.errors import RefusedError
from mlplat.serving.columns import Columns, InputError
from mlplat.serving.engines import Scores
from mlplat.serving.model import ModelError, load


@pytest.fixture
def copied(pipeline_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may spoil."""
    return Path(shutil.copytree(pipeline_bundle, tmp_path / "bundle"))


def change(folder: Path, **changes: Any) -> None:
    document = json.loads((folder / CONTRACT_FILE).read_text())
    (folder / CONTRACT_FILE).write_text(json.dumps(document | changes))


def frame_of(folder: Path) -> pd.DataFrame:
    return pd.DataFrame([example["row"] for example in json.loads((folder / CONTRACT_FILE).read_text())["examples"]])


def test_a_frame_and_rows_are_scored_alike(any_bundle: Path) -> None:
    model = load(any_bundle)
    rows = [example.row for example in model.contract.examples]
    answers = model.predict(rows)
    given = [answer["probability"] if "probability" in answer else answer["value"] for answer in answers]
    assert np.array_equal(model.score(pd.DataFrame(rows)), given)


def test_a_frame_may_be_large_hold_more_columns_and_be_in_another_order(pipeline_bundle: Path) -> None:
    model = load(pipeline_bundle)
    small = frame_of(pipeline_bundle)
    large = pd.concat([small] * 2500, ignore_index=True)[[*reversed(small.columns)]].assign(label=1)
    assert np.array_equal(model.score(large), np.tile(model.score(small), 2500))


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_how_pandas_keeps_strings_does_not_matter(pipeline_bundle: Path, dtype: str) -> None:
    model, frame = load(pipeline_bundle), frame_of(pipeline_bundle)
    assert np.array_equal(model.score(frame.astype({"carrier": dtype})), model.score(frame))


def test_what_the_model_answers_is_what_the_pipeline_answers(pipeline_bundle: Path) -> None:
    model, frame = load(pipeline_bundle), frame_of(pipeline_bundle)
    pipeline = skops.io.load(pipeline_bundle / "model.skops", trusted=list(model.contract.trusted_types))
    assert np.array_equal(model.score(frame), pipeline.predict_proba(frame)[:, 1])


def test_the_label_follows_the_threshold(pipeline_bundle: Path) -> None:
    model = load(pipeline_bundle)
    assert model.labels(np.array([0.39, 0.4, 0.41])) == [0, 1, 1]


def test_a_frame_that_the_server_would_refuse_is_refused(pipeline_bundle: Path) -> None:
    frame = frame_of(pipeline_bundle)
    frame.loc[3, "destination"] = None
    with pytest.raises(InputError, match="destination, row 3: must not be null"):
        load(pipeline_bundle).score(frame)


def test_another_digest_is_refused(copied: Path) -> None:
    before = digest(copied)
    assert load(copied, digest=before).digest == before
    (copied / "MLmodel").write_text("changed")
    with pytest.raises(RefusedError, match=before):
        load(copied, digest=before)


@pytest.mark.parametrize("package", ["scikit-learn", "skops"])
def test_another_version_is_refused_and_both_are_named(copied: Path, package: str) -> None:
    document = json.loads((copied / CONTRACT_FILE).read_text())
    change(copied, environment=document["environment"] | {package: "0.1.2"})
    with pytest.raises(RefusedError, match=rf"made with {package} 0\.1\.2, and {package} \d") as caught:
        load(copied)
    assert caught.value.hint


def test_a_type_that_the_contract_does_not_trust_is_refused_by_name(copied: Path) -> None:
    change(copied, trusted_types=["numpy.dtype"])
    with pytest.raises(RefusedError, match="TreePredictor"):
        load(copied)


@pytest.mark.parametrize("name", ["os.system", "mymodule.Estimator", "sklearnx.Tree", "numpy.testing.runstring"])
def test_a_contract_cannot_trust_a_type_from_elsewhere(copied: Path, name: str) -> None:
    change(copied, trusted_types=[name])
    with pytest.raises(RefusedError, match=name.replace(".", r"\.")):
        load(copied)


def test_a_planted_function_never_runs(copied: Path, tmp_path: Path) -> None:
    planted = make_pipeline(FunctionTransformer(shutil.rmtree), LogisticRegression())
    skops.io.dump(planted, copied / "model.skops")
    with pytest.raises(RefusedError, match="shutil"):
        load(copied)


def test_a_damaged_file_is_said_to_be_one(copied: Path) -> None:
    (copied / "model.skops").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(BundleError, match=r"model\.skops: cannot be read"):
        load(copied)


def test_a_file_outside_of_the_folder_is_not_read(copied: Path) -> None:
    change(copied, file="../model.skops")
    with pytest.raises(BundleError, match="outside"):
        load(copied)


def test_other_answers_than_were_judged_are_refused(copied: Path) -> None:
    document = json.loads((copied / CONTRACT_FILE).read_text())
    document["examples"][2]["prediction"] += 0.01
    change(copied, examples=document["examples"])
    with pytest.raises(RefusedError, match=r"examples\[2\]: answers"):
        load(copied)


def test_an_example_that_the_model_cannot_answer_is_refused(copied: Path) -> None:
    document = json.loads((copied / CONTRACT_FILE).read_text())
    del document["examples"][0]["row"]["carrier"]
    change(copied, examples=document["examples"])
    with pytest.raises(RefusedError, match="its own examples"):
        load(copied)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"classes": ["no", "yes"]}, "classes"),
        ({"classes": [0]}, "has two"),
        ({"columns": []}, "columns"),
        ({"frame": False}, "strings"),
        ({"format": "onnx"}, "ONNX"),
        ({"file": "absent.skops"}, "missing"),
    ],
)
def test_a_contract_that_does_not_fit_the_model_is_refused(copied: Path, changes: dict[str, Any], reason: str) -> None:
    change(copied, **changes)
    with pytest.raises(BundleError, match=reason):
        load(copied)


def test_a_number_too_large_to_compute_with_is_the_requests_fault(array_bundle: Path) -> None:
    model = load(array_bundle)
    with pytest.raises(InputError, match=r"rows\[0\]\.x0: is too large"):
        model.predict([dict.fromkeys(model.schema.names, 1e308)])


def test_a_model_that_fails_on_rows_it_should_answer_is_the_models_fault(array_bundle: Path) -> None:
    class Broken:
        form = "array"

        def score(self, columns: Columns) -> Scores:
            raise ValueError("Found unknown categories")

    model = dataclasses.replace(load(array_bundle), engine=Broken())
    with pytest.raises(ModelError, match="Found unknown categories"):
        model.predict(array_rows_of(array_bundle))


def array_rows_of(folder: Path) -> list[dict[str, Any]]:
    return [example["row"] for example in json.loads((folder / CONTRACT_FILE).read_text())["examples"]]
