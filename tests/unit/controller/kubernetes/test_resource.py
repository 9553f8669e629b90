from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from mlplat.controller import wishes
from mlplat.controller.document import Endpoint, EndpointSpec, Event, Revision, Status
from mlplat.controller.kubernetes import resource
from mlplat.labels import Name
from mlplat.manifests import crd
from mlplat.spec.pipelines import TimesSpec
from mlplat.spec.privacy import LoggedColumns
from mlplat.spec.retraining import RetrainingPolicy
from mlplat.spec.rollout import RolloutPolicy
from mlplat.spec.scale import ScaleSpec

LATE = Name("flights", "late")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENT = Event(time=NOW, generation=0, kind="wished", text="ada wishes version 2")
WISH = wishes.deploy(
    LATE, LATE, "2", RolloutPolicy(steps=(20, 100), min_requests=7), by="ada",
    log=LoggedColumns(exclude=("tail",)), scale=ScaleSpec(max_replicas=9),
    retraining=RetrainingPolicy(
        on=("schedule", "data"), schedule=TimesSpec(cron=["30 4 * * mon"], timezone="America/New_York"), min_new_days=28
    ),
)  # fmt: skip


def stored(spec: dict[str, Any], *, generation: int = 1, **metadata: Any) -> dict[str, Any]:
    head = resource.named(LATE, "team-a")
    head["metadata"] |= {"generation": generation, "uid": "u", **metadata}
    return {**head, "spec": spec}


def test_a_wish_comes_back_as_it_was_written() -> None:
    found = resource.endpoint(stored(resource.wished(WISH, EVENT, 1), generation=4)).spec
    assert found == WISH.model_copy(update={"generation": 4})


@pytest.mark.parametrize(("cron", "fits"), [("30 4 * * mon", True), ("@daily", False), ("30 4 * *", False)])
def test_times_are_described_by_the_definition(cron: str, fits: bool) -> None:
    spec = resource.wished(WISH, EVENT, 1)
    written = {**spec["retraining"], "schedule": {**spec["retraining"]["schedule"], "cron": [cron]}}
    schema = crd.schema()["properties"]["spec"]["properties"]["retraining"]
    # Kubernetes' own words, of which a validator of JSON Schema knows nothing.
    assert jsonschema.Draft4Validator(schema).is_valid(written) is fits
    # An object with a field that is not described would be stored without it.
    assert written.keys() <= schema["properties"].keys()
    assert written["schedule"].keys() <= schema["properties"]["schedule"]["properties"].keys()


def test_what_is_as_everywhere_is_not_written() -> None:
    said = resource.wished(wishes.deploy(LATE, LATE, "2", RolloutPolicy(), by="ada"), EVENT, 1)
    assert said.keys() == {"model", "version", "wish"}


def test_an_equal_wish_is_another_spec() -> None:
    assert resource.wished(WISH, EVENT, 1) != resource.wished(WISH, EVENT, 2)


def test_a_bare_document_is_a_wish_to_deploy() -> None:
    found = resource.endpoint(stored({"model": "flights/late", "version": "3"})).spec
    assert (found.action, found.version, found.by, found.policy) == ("deploy", "3", "kubectl", RolloutPolicy())


@pytest.mark.parametrize("change", [{"version": "3"}, {"policy": {"minRequests": 8}}, {"scale": {"maxReplicas": 2}}])
def test_what_was_wished_before_does_not_hold_for_another_document(change: dict[str, Any]) -> None:
    rollback = WISH.model_copy(update={"action": "rollback", "revision": 1})
    said = {**resource.wished(rollback, EVENT, 5), **change}
    found = resource.endpoint(stored(said)).spec
    assert (found.action, found.revision, found.by) == ("deploy", None, "kubectl")


def test_deleting_the_resource_is_the_wish_to_delete() -> None:
    said = resource.wished(WISH, EVENT, 1)
    found = resource.endpoint(stored(said, generation=2, deletionTimestamp="2026-01-01T00:00:00Z"))
    assert (found.spec.action, found.spec.generation) == ("delete", 2)


def test_a_spec_that_is_no_wish_changes_nothing() -> None:
    revision = Revision(
        number=1, model="flights/late", version="1", digest="sha256:1", source="s", port=1, state="ready", since=1.0,
        created=NOW,
    )  # fmt: skip
    before = Status(champion=1, revisions=(revision,), phase="serving", observed_generation=3)
    wrong = stored({"model": "flights/late", "version": "2", "policy": {"steps": [50, 10]}}, generation=4)
    wrong["status"] = resource.reported(wrong, before, [], NOW)
    found = resource.endpoint(wrong)
    assert (found.spec.generation, found.settled, found.status) == (3, True, before)
    accepted = next(each for each in wrong["status"]["conditions"] if each["type"] == "Accepted")
    assert accepted["status"] == "False"


def test_a_status_comes_back_and_shows_who_serves() -> None:
    document = stored(resource.wished(WISH, EVENT, 1), generation=2)
    status = Status(phase="resolving", message="looking", observed_generation=2, since=NOW, last_revision=3)
    document["status"] = resource.reported(document, status, [], NOW)
    assert resource.endpoint(document) == Endpoint(
        spec=EndpointSpec.model_validate({**WISH.model_dump(), "generation": 2}), status=status
    )


def test_the_wish_is_told_once_and_numbers_go_on_when_old_events_are_dropped() -> None:
    document = stored(resource.wished(WISH, EVENT, 1), generation=2)
    status = Status(observed_generation=2, since=NOW)
    step = Event(time=NOW, generation=2, kind="step", text="a step")
    for _ in range(crd.HISTORY + 10):
        document["status"] = resource.reported(document, status, [step], NOW)
    assert len(resource.history(document)) == crd.HISTORY
    assert resource.history(document)[-1].number == crd.HISTORY + 11
    document["status"] = resource.reported({**document, "status": {}}, status, [step], NOW)
    assert [(each.kind, each.text) for each in resource.history(document)] == [
        ("wished", "ada wishes version 2"),
        ("step", "a step"),
    ]


def test_a_condition_keeps_the_time_since_which_it_holds() -> None:
    document = stored(resource.wished(WISH, EVENT, 1))
    status = Status(observed_generation=1, since=NOW)
    document["status"] = resource.reported(document, status, [], NOW)
    later = resource.reported(document, status, [], datetime(2027, 1, 1, tzinfo=UTC))
    assert {each["lastTransitionTime"] for each in later["conditions"]} == {"2026-11-21T12:00:00Z"}
