from __future__ import annotations

import json
from typing import Any

import pytest

from mlplat.errors import SpecError
from mlplat.spec.project import ProjectSpec, override

PLAIN = {"project": "tests", "model": "late", "task": "binary", "data": {"source": "rows.csv", "target": "y"}}


def given(source: Any) -> ProjectSpec:
    return override(ProjectSpec.model_validate_json(json.dumps(PLAIN)), {"data.source": source})


@pytest.mark.parametrize("source", ["flights", "data/*.parquet", "/elsewhere/rows.csv", "s3://bucket/prefix"])
def test_paths_patterns_and_buckets_are_taken_as_they_are(source: str) -> None:
    assert given(source).data.origin == source


def test_a_database_is_named_by_its_variable() -> None:
    assert given({"sql": {"url_env": "SALES", "query": "SELECT 1"}}).data.origin == "the query on `SALES`"


@pytest.mark.parametrize(
    "source",
    [
        "postgresql://me:hunter2@host/sales",
        {"sql": {"url_env": "postgresql://me:hunter2@host/sales", "query": "SELECT 1"}},
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(source: Any) -> None:
    with pytest.raises(SpecError) as caught:
        given(source)
    assert "hunter2" not in caught.value.told()
    assert "variable" in caught.value.told()


def test_a_fault_below_a_source_is_told_by_its_own_key() -> None:
    with pytest.raises(SpecError) as caught:
        given({"sql": {"url_env": "SALES", "qeury": "SELECT 1"}})
    assert [problem.path for problem in caught.value.problems] == ["data.source.sql.query", "data.source.sql.qeury"]


def test_a_key_is_no_feature() -> None:
    with pytest.raises(SpecError, match="`customer` is keys as well"):
        override(given("rows.csv"), {"data.keys": ["customer"], "data.features": {"all": {"columns": ["customer"]}}})
