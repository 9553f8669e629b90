"""What a platform's status tells of what runs by itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlplat.cli import cli
from mlplat.controller.alarms import Seen
from mlplat.controller.errands import Errands
from mlplat.controller.post import Post
from mlplat.controller.store import SqliteStore
from mlplat.controller.timetable import NOTES, Entry
from mlplat.spec.pipelines import ScheduleSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.local.folders import state_folder

NOW = datetime(2013, 7, 1, 5, tzinfo=UTC)
MONDAYS = ScheduleSpec(cron=["30 4 * * mon"])


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteStore:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stacks").mkdir()
    stack = "config:\n  mlplat:platform:\n    clock: 2013-07-01T05:00:00Z\n"
    (tmp_path / "stacks" / "Pulumi.local.yaml").write_text(stack)
    return SqliteStore(state_folder(PlatformSpec(), "local") / "endpoints.db")


def told() -> dict[str, tuple[str, str]]:
    done = CliRunner().invoke(cli, ["status", "--json"])
    return {row["owner"]: (row["name"], row["said"]) for row in json.loads(done.stdout) if row["said"]}


def test_a_flow_s_next_time_goes_by_the_platforms_clock(store: SqliteStore) -> None:
    entry = Entry(project="flights", flow="monitor", schedule=MONDAYS, since=NOW)
    with store:
        store.note({(NOTES, entry.key): entry.model_dump_json()})
        assert told() == {"schedule": ("flights/monitor", "next 2013-07-08 04:30 UTC")}
        ran = entry.model_copy(update={"due": NOW.replace(hour=4, minute=30), "run": "r", "status": "failed"})
        store.note({(NOTES, entry.key): ran.model_dump_json()})
        said = "next 2013-07-08 04:30 UTC; that of 2013-07-01 04:30 UTC failed"
        assert told() == {"schedule": ("flights/monitor", said)}
    table = CliRunner().invoke(cli, ["status"]).stdout.splitlines()
    assert table[-1].split()[:2] == ["schedule", "flights/monitor"]


def test_an_alert_is_shown_while_it_lasts(store: SqliteStore) -> None:
    with store:
        post = Post(store, Errands())
        post.tell(Seen((), {}, {}, {("flights", "monitor"): "no rows"}), NOW, None)
        summary = "flights: the newest scheduled run of monitor failed: no rows"
        assert told() == {"alert": ("ScheduledRunFailed flights monitor", summary)}
        post.tell(Seen((), {}, {}, {}), NOW, None)
        assert told() == {}


def test_notes_that_cannot_be_read_hide_nothing_else(store: SqliteStore) -> None:
    with store:
        store.note({(NOTES, "flights/monitor"): "{"})
    assert told() == {}
    store.path.write_bytes(b"garbage" * 1000)
    names = {row["name"] for row in json.loads(CliRunner().invoke(cli, ["status", "--json"]).stdout)}
    assert {"tracking", "gateway", "controller"} <= names
