from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlplat.contracts import Connection
from mlplat.controller.document import Status
from mlplat.controller.store import SqliteStore
from mlplat.controller.unattended import Published, published_file
from mlplat.labels import Name
from mlplat.runs import commit as commits
from mlplat.runs import published
from mlplat.runs.commit import Commit
from mlplat.spec.pipelines import ScheduleSpec

if TYPE_CHECKING:
    from .conftest import Endpoints

LATE = Name("flights", "late")


def test_a_wish_is_written_and_not_waited_for(endpoints: Endpoints) -> None:
    result = endpoints.run("deploy", "flights/late", "--version", "2", "--strategy", "direct", "--no-wait")
    assert (result.exit_code, result.stdout) == (0, "")
    with SqliteStore(endpoints.path) as store:
        found = store.get(LATE)
        assert found is not None
        assert (found.spec.version, found.spec.policy.strategy, found.spec.model) == ("2", "direct", "flights/late")
        assert "wishes version 2 of flights/late (direct)" in store.events(LATE)[-1].text


def test_waiting_shows_events_and_ends_with_the_version_in_service(endpoints: Endpoints) -> None:
    endpoints.answer(lambda _: endpoints.serving(), endpoints.event("promoted", "version 1 (r1) serves"))
    result = endpoints.run("deploy", "flights/late", "--version", "1", "--json")
    assert result.exit_code == 0
    assert "promoted     version 1 (r1) serves" in result.stderr
    assert "/endpoints/flights/late/predict" in result.stderr
    assert json.loads(result.stdout)["status"]["phase"] == "serving"


@pytest.mark.parametrize("phase", ["refused", "failed", "breached", "inconclusive", "aborted"])
def test_a_version_that_does_not_come_to_serve_is_an_error_with_its_reason(endpoints: Endpoints, phase: str) -> None:
    status = Status.model_validate({"phase": phase, "message": "the reason"})
    endpoints.answer(lambda _: status)
    result = endpoints.run("deploy", "flights/late", "--version", "1")
    assert result.exit_code == 1
    assert str(result.exception) == "flights/late: the reason"


def test_a_newer_wish_ends_the_waiting(endpoints: Endpoints) -> None:
    from mlplat.controller import follow, wishes
    from mlplat.spec.rollout import RolloutPolicy

    with SqliteStore(endpoints.path) as store:
        spec = wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada")
        mine = store.wish(LATE, lambda _: spec, endpoints.event("wished"))
        theirs = spec.model_copy(update={"version": "2", "by": "grace"})
        store.wish(LATE, lambda _: theirs, endpoints.event("wished"))
        outcome = follow.outcome(store.get(LATE), mine)
    assert outcome == follow.Outcome(False, "superseded: grace wished to deploy version 2 of flights/late")


def test_waiting_ends_after_the_timeout_and_the_wish_stays(endpoints: Endpoints) -> None:
    result = endpoints.run("deploy", "flights/late", "--version", "1", "--timeout", "0")
    assert result.exit_code == 1
    assert "is resolving after" in str(result.exception)
    with SqliteStore(endpoints.path) as store:
        assert store.get(LATE) is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no endpoint was named"),
        (("late",), "`late` names no project"),
        (("flights/Late",), "`Late` cannot be the name"),
        (("flights/late", "--version", "1", "--force"), "`--force` needs a reason"),
        (("flights/late", "--version", "1", "--reason", "why"), "`--reason` says why a version is forced"),
    ],
)
def test_wrong_usage_writes_nothing(endpoints: Endpoints, arguments: tuple[str, ...], says: str) -> None:
    result = endpoints.run("deploy", *arguments)
    assert result.exit_code == 2
    assert says in str(result.exception)
    assert not endpoints.path.exists() or not endpoints.run("endpoint", "list").stdout


def test_a_forced_deploy_carries_its_reason(endpoints: Endpoints) -> None:
    endpoints.run("deploy", "flights/late", "--version", "1", "--force", "--reason", "a drill", "--no-wait")
    with SqliteStore(endpoints.path) as store:
        found = store.get(LATE)
    assert found is not None
    assert found.spec.force is not None
    assert found.spec.force.reason == "a drill"


def test_an_endpoint_may_have_another_name_than_its_model(endpoints: Endpoints) -> None:
    endpoints.run("deploy", "flights/late", "--version", "1", "--endpoint", "late-eu", "--no-wait")
    with SqliteStore(endpoints.path) as store:
        found = store.get(Name("flights", "late-eu"))
    assert found is not None
    assert found.spec.model == "flights/late"


def test_without_a_platform_the_mend_is_said(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from mlplat.cli import cli
    from mlplat.errors import MlplatError

    result = CliRunner().invoke(cli, ["endpoint", "list", "-s", "nowhere"], standalone_mode=False)
    assert isinstance(result.exception, MlplatError)
    assert "mlplat up -s nowhere" in (result.exception.hint or "")


SCHEDULED = """version: 1
project: flights
model: late
task: binary
data: {source: rows.csv, target: y}
pipelines: {monitor: {schedule: {cron: ['30 4 * * mon']}}}
"""


def test_what_would_not_run_by_itself_is_said_where_somebody_deploys(endpoints: Endpoints) -> None:
    Path("mlplat.yaml").write_text(SCHEDULED)
    deploy = ("deploy", "--version", "2", "--no-wait")
    assert "before `mlplat publish`, nothing of it runs by itself" in endpoints.run(*deploy).stderr
    there = Published(
        id="1", folder="", python="", paths=(), commit="", flows=("monitor",), platform="mlplat", stack="local"
    )
    place = published_file(endpoints.path.parent, "flights")
    place.parent.mkdir()
    place.write_text(there.model_dump_json())
    assert "are not those that were published" in endpoints.run(*deploy).stderr
    schedules = {"monitor": ScheduleSpec(cron=["30 4 * * mon"])}
    place.write_text(there.model_copy(update={"schedules": schedules}).model_dump_json())
    assert "publish" not in endpoints.run(*deploy).stderr


def test_publishing_says_when_a_flow_runs_next(endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mlplat.yaml").write_text(SCHEDULED)
    made = Published(
        id="1", folder="", python="", paths=(), commit="", flows=("monitor",), platform="mlplat", stack="local",
        schedules={"monitor": ScheduleSpec(cron=["30 4 * * mon"], overlapping="allow")},
    )  # fmt: skip
    ago = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    before = Connection.read("mlplat", "local")
    replace(before, clock=f"2013-07-01T05:00:00Z={ago}").write()
    monkeypatch.setattr(commits, "commit", lambda _: Commit("c0ffee", Path()))
    monkeypatch.setattr(published, "publish", lambda *_, **__: published.Done(made, is_new=True))
    result = endpoints.run("publish")
    assert "monitor runs by itself, next at 2013-07-08 04:30 UTC by the platform's clock" in result.stderr
    assert "here a flow has one run at a time" in result.stderr
    assert json.loads(endpoints.run("publish", "--json").stdout)["schedules"]["monitor"]["cron"] == ["30 4 * * mon"]
