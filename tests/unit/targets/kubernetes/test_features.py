"""What projects are told of the feature store: where it is, on each target, and no credentials."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest

from mlplat import services
from mlplat.manifests import names
from mlplat.services.cluster.features import FILE, ONLINE
from mlplat.spec.platform import PlatformSpec, parse_platform
from mlplat.targets.kubernetes import features
from mlplat.targets.kubernetes.ground import Cloud, Ground, Objects

TEAMS = {"sky": {"projects": ["late-flights", "delays"]}, "sea": {}}
TABLES = "acme.prod.online.{project}.{table_name}"


def spec(**kubernetes: Any) -> PlatformSpec:
    on = {"context": "c", "production": False, **kubernetes}
    given = {"version": 2, "target": "kubernetes", "engine": {}, "teams": TEAMS, "kubernetes": on}
    return parse_platform(given, "a test")


def ground(cloud: Cloud | None = None) -> Ground:
    return Ground(mock.Mock(), production=False, objects=Objects({}, "eu-west-1"), databases={}, cloud=cloud)


def stores(platform: PlatformSpec, on: Ground, team: str = "sky") -> dict[str, Any]:
    """Return Feast's file by the name of its ConfigMap."""
    found = features.documents(team, platform, on)
    assert {each["metadata"]["namespace"] for each in found} <= {team}
    return {each["metadata"]["name"]: json.loads(each["data"][FILE]) for each in found}


def test_a_project_looks_up_where_the_feature_server_answers() -> None:
    platform = spec()
    (server,) = [each for each in services.on_cluster(platform) if each.name == ONLINE]
    found = stores(platform, ground())
    assert set(found) == {"features-delays", "features-late-flights"}
    store = found["features-late-flights"]
    assert store["project"] == "late_flights"
    served = [server.argv[at + 1] for at, word in enumerate(server.argv) if word == "--project"]
    assert served == ["delays", "late_flights"]
    address = f"http://{server.name}.{names.NAMESPACE}.svc:{server.ports['http']}/late_flights"
    assert store["online_store"] == {"type": "remote", "path": address}
    (registry,) = [each for each in services.on_cluster(platform) if each.name == "features"]
    assert store["registry"]["path"] == f"{registry.name}.{names.NAMESPACE}.svc:{registry.ports['grpc']}"
    assert stores(platform, ground(), "sea") == {}


@pytest.mark.parametrize(
    ("tables", "online"),
    [(TABLES, {"type": "dynamodb", "region": "eu-west-1", "table_name_template": TABLES}), (None, None)],
)
def test_in_an_account_it_looks_up_in_the_account_s_own_store(
    tables: str | None, online: dict[str, str] | None
) -> None:
    platform = spec().model_copy(update={"target": "aws"})
    cloud = Cloud("eu-west-1", "c", "arn", {}, feature_tables=tables)
    assert stores(platform, ground(cloud))["features-delays"]["online_store"] == online
    assert ONLINE not in {each.name for each in services.on_cluster(platform)}


def test_without_a_database_there_is_no_feature_store() -> None:
    kept = {"databases": {"tracking": "t"}}
    assert features.documents("sky", spec(**kept), ground()) == []
    assert not {"features", ONLINE} & {each.name for each in services.on_cluster(spec(**kept))}


def test_without_projects_there_is_nobody_to_serve() -> None:
    platform = spec().model_copy(update={"teams": {}})
    assert [each.name for each in services.on_cluster(platform) if each.name in ("features", ONLINE)] == ["features"]


def test_what_a_project_is_told_names_no_variable_and_no_secret() -> None:
    for each in features.documents("sky", spec(), ground()):
        assert "$" not in each["data"][FILE]
        assert "password" not in each["data"][FILE]
