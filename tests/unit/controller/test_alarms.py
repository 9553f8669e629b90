from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlplat.controller import alarms
from mlplat.controller.alarms import Known, Seen
from mlplat.controller.document import Endpoint, EndpointSpec, Status
from mlplat.controller.triggers import Alarm
from mlplat.labels import Name

LATE = Name("flights", "late")
NOW = datetime(2013, 7, 1, tzinfo=UTC)
DRIFT = Alarm(kind="drift", message="temp is over its threshold")


def endpoint(phase: str = "serving", message: str = "") -> Endpoint:
    spec = EndpointSpec(name="flights/late", model="flights/late", version="3")
    return Endpoint(spec=spec, status=Status.model_validate({"phase": phase, "message": message}))


def seen(
    *endpoints: Endpoint,
    raised: dict[Name, tuple[Alarm, ...]] | None = None,
    retrainings: dict[Name, str] | None = None,
    schedules: dict[tuple[str, str], str] | None = None,
) -> Seen:
    return Seen(endpoints, raised or {}, retrainings or {}, schedules or {})


def names(found: dict[str, Known]) -> list[str]:
    return sorted(each.name for each in found.values())


@pytest.mark.parametrize(
    ("phase", "name"),
    [
        ("breached", ["RolloutBreached flights/late breached"]),
        ("inconclusive", ["RolloutInconclusive flights/late inconclusive"]),
        ("failed", ["DeployFailed flights/late failed"]),
        ("refused", ["DeployFailed flights/late refused"]),
        ("serving", []),
        ("baking", []),
        # A person's own decision is news to nobody.
        ("aborted", []),
    ],
)
def test_what_became_of_a_deployment_is_told_by_its_phase(phase: str, name: list[str]) -> None:
    assert names(alarms.present(seen(endpoint(phase)), {}, NOW)) == name


def test_each_kind_of_alarm_is_one_of_its_own_and_says_what_the_monitor_said() -> None:
    volume = Alarm(kind="volume", message="half the rows are missing")
    found = alarms.present(seen(endpoint(), raised={LATE: (DRIFT, volume)}), {}, NOW)
    assert names(found) == ["ModelAlarm flights/late drift", "ModelAlarm flights/late volume"]
    assert {str(each) for each in found.values()} == {
        f"flights/late: its monitor raises an alarm of {each.kind}: {each.message}" for each in (DRIFT, volume)
    }


def test_what_failed_unattended_is_told_with_why() -> None:
    found = alarms.present(
        seen(endpoint(), retrainings={LATE: "no space"}, schedules={("flights", "monitor"): "no rows"}), {}, NOW
    )
    assert names(found) == ["RetrainingFailed flights/late", "ScheduledRunFailed flights monitor"]
    assert {each.annotations["message"] for each in found.values()} == {"no space", "no rows"}
    assert all("{{" not in text for each in found.values() for text in each.annotations.values())


def test_what_lasts_keeps_its_beginning_and_takes_the_newest_text() -> None:
    first = alarms.present(seen(endpoint(), raised={LATE: (DRIFT,)}), {}, NOW)
    worse = DRIFT.model_copy(update={"message": "wind as well"})
    (now,) = alarms.present(seen(endpoint(), raised={LATE: (worse,)}), first, NOW + timedelta(days=1)).values()
    assert (now.since, now.annotations["message"]) == (NOW, "wind as well")


def test_an_alarm_lasts_until_it_is_known_that_it_does_not() -> None:
    before = alarms.present(seen(endpoint(), raised={LATE: (DRIFT,)}), {}, NOW)
    assert alarms.present(seen(endpoint()), before, NOW) == before
    assert alarms.present(seen(endpoint(), raised={LATE: ()}), before, NOW) == {}
    assert alarms.present(seen(), before, NOW) == {}


def test_a_message_is_one_that_alertmanagers_receivers_read() -> None:
    (known,) = alarms.present(seen(endpoint(), raised={LATE: (DRIFT,)}), {}, NOW).values()
    begun = alarms.message(known, None)
    assert set(begun) == {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    assert (begun["version"], begun["status"]) == ("4", "firing")
    assert begun["groupKey"] == '{}:{alertname="ModelAlarm", endpoint="flights/late"}'
    (alert,) = begun["alerts"]
    assert set(alert) == {
        "status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"
    }  # fmt: skip
    assert (alert["startsAt"], alert["endsAt"]) == ("2013-07-01T00:00:00+00:00", "0001-01-01T00:00:00Z")
    ended = alarms.message(known, NOW + timedelta(hours=1))
    assert (ended["status"], ended["alerts"][0]["endsAt"]) == ("resolved", "2013-07-01T01:00:00+00:00")
    assert ended["alerts"][0]["fingerprint"] == alert["fingerprint"]
