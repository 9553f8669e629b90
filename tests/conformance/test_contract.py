"""What a target promises upward (`mlplat.contracts`): plain frozen values, found by name, without a secret in them."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, fields
from pathlib import Path
from typing import Any

import pytest

import mlplat
from conformance import PROJECT, Standing
from mlplat import targets
from mlplat.contracts import ClusterFoundation, Connection, Foundation, Platform
from mlplat.errors import MlplatError
from mlplat.targets.local.foundation import read_record


@pytest.fixture(scope="module")
def outputs(standing: Standing) -> dict[str, Any]:
    """Return what `mlplat outputs` tells a program."""
    found: dict[str, Any] = standing.run("outputs", "--json").json()
    return found


def foundation(standing: Standing, outputs: dict[str, Any]) -> Foundation | ClusterFoundation | None:
    """Return what the platform stands on; None where somebody else keeps that."""
    if standing.target == "aws":
        # The engine keeps no output that is null.
        given = outputs["foundation"]
        return ClusterFoundation(**{each.name: given.get(each.name) for each in fields(ClusterFoundation)})
    if standing.target == "kubernetes":
        assert targets.unsupported("kubernetes")["foundation"] == "the cluster is the foundation"
        return None
    record = read_record(Path(standing.mlplat.env["MLPLAT_STATE_DIR"]) / standing.name / standing.stack)
    assert record is not None
    return Foundation(**record["foundation"])


def test_they_are_frozen_and_come_back_from_json_as_they_were(
    standing: Standing, connection: Connection, outputs: dict[str, Any]
) -> None:
    named = {each.name: outputs[each.name] for each in fields(Platform)}
    for value in (connection, Platform(**named), foundation(standing, outputs)):
        if value is None:
            continue
        plain = asdict(value)
        assert type(value)(**json.loads(json.dumps(plain))) == value
        with pytest.raises(FrozenInstanceError):
            setattr(value, fields(value)[0].name, "other")


def test_a_platform_says_where_its_services_are(standing: Standing, outputs: dict[str, Any]) -> None:
    assert (outputs["name"], outputs["stack"], outputs["target"]) == (standing.name, standing.stack, standing.target)
    assert set(outputs["endpoints"]) >= {"tracking", "gateway"}
    assert all(address.startswith("http") for address in outputs["endpoints"].values())


def test_projects_find_it_by_its_name(standing: Standing, connection: Connection, outputs: dict[str, Any]) -> None:
    assert outputs["connection"] == connection.document()
    assert connection.is_written()
    assert (connection.platform, connection.stack, connection.target) == (
        standing.name, standing.stack, standing.target,
    )  # fmt: skip
    assert connection.mlplat == mlplat.__version__
    assert {name: outputs["endpoints"][name] for name in ("tracking", "gateway")} == {
        "tracking": connection.tracking,
        "gateway": connection.gateway,
    }
    with pytest.raises(MlplatError, match="no platform `other`"):
        Connection.read("other", standing.stack)


def test_a_project_has_its_place_where_teams_share_a_platform(standing: Standing, connection: Connection) -> None:
    has_teams = "teams" not in targets.unsupported(standing.target)
    assert connection.namespaces == ({PROJECT: PROJECT} if has_teams else {})


def test_nothing_that_it_keeps_or_says_has_a_secret_in_it(standing: Standing, outputs: dict[str, Any]) -> None:
    secrets, kept = standing.secrets(), list(standing.kept())
    assert secrets
    assert len(kept) > 1
    shown = standing.run("status", code=None)
    told = [*kept, ("outputs", json.dumps(outputs)), ("status", shown.out + shown.err)]
    assert [place for place, text in told if any(secret in text for secret in secrets)] == []
