from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlplat.controller.store import SqliteStore
from mlplat.labels import Name

if TYPE_CHECKING:
    from .conftest import Endpoints

LATE = Name("flights", "late")


def test_an_empty_platform_lists_nothing_and_says_so(endpoints: Endpoints) -> None:
    result = endpoints.run("endpoint", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "mlplat deploy" in result.stderr
    assert json.loads(endpoints.run("endpoint", "list", "--json").stdout) == []


def test_the_list_names_versions_and_weights(endpoints: Endpoints) -> None:
    endpoints.deployed()
    head, row = endpoints.run("endpoint", "list").stdout.splitlines()
    assert head.split()[:2] == ["ENDPOINT", "PHASE"]
    assert "flights/late" in row
    assert "1 (r1)" in row
    assert "100 %" in row


def test_show_tells_address_revisions_and_events(endpoints: Endpoints) -> None:
    endpoints.deployed()
    shown = endpoints.run("endpoint", "show", "flights/late").stdout
    for text in ("/endpoints/flights/late/predict", "champion", "sha256:1", "promoted"):
        assert text in shown
    assert json.loads(endpoints.run("endpoint", "show", "flights/late", "--json").stdout)["status"]["champion"] == 1


def test_an_unknown_endpoint_is_an_error_with_a_hint(endpoints: Endpoints) -> None:
    for verb in (("show",), ("rollback",), ("delete", "--yes")):
        result = endpoints.run("endpoint", *verb, "flights/none")
        assert result.exit_code == 1
        assert str(result.exception) == "there is no endpoint flights/none"


def test_rollback_wishes_for_the_revision_before(endpoints: Endpoints) -> None:
    first = endpoints.serving().revisions[0]
    second = first.model_copy(update={"number": 2, "version": "2"})
    endpoints.deployed(endpoints.serving(champion=2, previous=1, revisions=(first, second)))
    result = endpoints.run("endpoint", "rollback", "flights/late", "--reason", "a drill", "--no-wait")
    assert result.exit_code == 0
    with SqliteStore(endpoints.path) as store:
        found = store.get(LATE)
    assert found is not None
    assert (found.spec.action, found.spec.revision, found.spec.version, found.spec.reason) == (
        "rollback",
        1,
        "1",
        "a drill",
    )


def test_rollback_without_a_version_before_is_refused(endpoints: Endpoints) -> None:
    endpoints.deployed()
    result = endpoints.run("endpoint", "rollback", "flights/late")
    assert (result.exit_code, str(result.exception)) == (1, "flights/late has no version to return to")


def test_deleting_asks_for_a_yes_where_nobody_can_be_asked(endpoints: Endpoints) -> None:
    endpoints.deployed()
    result = endpoints.run("endpoint", "delete", "flights/late")
    assert result.exit_code == 2
    assert endpoints.run("endpoint", "delete", "flights/late", "--yes", "--no-wait").exit_code == 0
    with SqliteStore(endpoints.path) as store:
        found = store.get(LATE)
    assert found is not None
    assert found.spec.action == "delete"
