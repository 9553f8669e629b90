"""What servers are asked for is the rows that a model has, as many as are wanted."""

from __future__ import annotations

from pathlib import Path

from bench import models
from bench.models import Sample


def test_rows_begin_again_where_there_are_not_as_many() -> None:
    sample = Sample("any", {}, Path("model.joblib"), (), ({"a": 1}, {"a": 2}))
    assert sample.first(5) == [{"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, {"a": 1}]


def test_both_formats_pass_the_gate_and_answer_alike(tmp_path: Path) -> None:
    import numpy as np

    from mlplat.serving.model import load

    sample = models.cancer(tmp_path)
    scores = []
    for form, bundle in sample.bundles.items():
        model = load(bundle.folder, digest=bundle.digest)
        assert (model.contract.format, bundle.report["digest"], bundle.report["passed"]) == (form, bundle.digest, True)
        scores.append([each["probability"] for each in model.predict(sample.first(50))])
    one, other = scores
    np.testing.assert_allclose(one, other, atol=1e-9)
