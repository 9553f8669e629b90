"""What projects are told of the feature store: where it is, on each target, and no credentials."""

from __future__ import annotations

import json
from typing import Any

import pytest

import awsparts
from mlplat import services
from mlplat.manifests import names
from mlplat.services.cluster.features import FILE, ONLINE
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import features

TEAMS = {"sky": {"projects": ["late-flights", "delays"]}, "sea": {}}


def spec(**kubernetes: Any) -> PlatformSpec:
    on = {"context": "c", "production": False, **kubernetes}
    given = {"version": 2, "target": "kubernetes", "engine": {}, "teams": TEAMS, "kubernetes": on}
    return parse_platform(given, "a test")


def stores(platform: PlatformSpec, team: str = "sky") -> dict[str, Any]:
    """Return Feast's file by the name of its ConfigMap."""
    found = features.documents(team, platform)
    assert {each["metadata"]["namespace"] for each in found} <= {team}
    return {each["metadata"]["name"]: json.loads(each["data"][FILE]) for each in found}


@pytest.mark.parametrize("platform", [spec(), awsparts.platform(TEAMS)], ids=["kubernetes", "aws"])
def test_a_project_looks_up_where_the_feature_server_answers(platform: PlatformSpec) -> None:
    (server,) = [each for each in services.on_cluster(platform) if each.name == ONLINE]
    found = stores(platform)
    assert set(found) == {"features-delays", "features-late-flights"}
    store = found["features-late-flights"]
    assert store["project"] == "late_flights"
    served = [server.argv[at + 1] for at, word in enumerate(server.argv) if word == "--project"]
    assert served == ["delays", "late_flights"]
    address = f"http://{server.name}.{names.NAMESPACE}.svc:{server.ports['http']}/late_flights"
    assert store["online_store"] == {"type": "remote", "path": address}
    (registry,) = [each for each in services.on_cluster(platform) if each.name == "features"]
    assert store["registry"]["path"] == f"{registry.name}.{names.NAMESPACE}.svc:{registry.ports['grpc']}"
    assert stores(platform, "sea") == {}


def test_with_valkey_features_are_for_training_only() -> None:
    platform = awsparts.platform(TEAMS, online_store={"kind": "valkey"})
    assert stores(platform)["features-delays"]["online_store"] is None
    assert ONLINE not in {each.name for each in services.on_cluster(platform)}


def test_without_a_database_there_is_no_feature_store() -> None:
    kept = {"databases": {"tracking": "t"}}
    assert features.documents("sky", spec(**kept)) == []
    assert not {"features", ONLINE} & {each.name for each in services.on_cluster(spec(**kept))}


def test_without_projects_there_is_nobody_to_serve() -> None:
    platform = spec().model_copy(update={"teams": {}})
    assert [each.name for each in services.on_cluster(platform) if each.name in ("features", ONLINE)] == ["features"]


def test_what_a_project_is_told_names_no_variable_and_no_secret() -> None:
    for each in features.documents("sky", spec()):
        assert "$" not in each["data"][FILE]
        assert "password" not in each["data"][FILE]
