"""What a project says of its prediction log's columns."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from mlplat.controller import wishes
from mlplat.controller.document import Endpoint
from mlplat.labels import Name
from mlplat.spec.privacy import LoggedColumns
from mlplat.spec.rollout import RolloutPolicy

LATE = Name("flights", "late")
HIDDEN = LoggedColumns(exclude=("name",), hash=("id",))


def test_a_column_is_excluded_or_hashed() -> None:
    with pytest.raises(ValidationError, match="both excluded and hashed"):
        LoggedColumns(exclude=("id",), hash=("id",))


def test_unknown_columns_are_named() -> None:
    assert HIDDEN.unknown(["id", "hour"]) == ["name"]
    assert HIDDEN.unknown(["id", "name"]) == []


def test_what_was_said_stays_when_another_folder_deploys_the_same_model() -> None:
    first = Endpoint(spec=wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada", log=HIDDEN))
    again = wishes.deploy(LATE, LATE, "2", RolloutPolicy(), by="bob", present=first)
    assert again.log == HIDDEN
    assert wishes.deploy(LATE, LATE, "2", RolloutPolicy(), by="bob", log=LoggedColumns(), present=first).log != HIDDEN
    other = wishes.deploy(LATE, Name("flights", "cancelled"), "1", RolloutPolicy(), by="bob", present=first)
    assert other.log == LoggedColumns()


def test_a_document_written_before_there_was_such_a_setting_is_read() -> None:
    written = Endpoint(spec=wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada")).model_dump(mode="json")
    del written["spec"]["log"]
    assert Endpoint.model_validate_json(json.dumps(written)).spec.log == LoggedColumns()
