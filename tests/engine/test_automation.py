"""`mlplat up` and `down` through a real engine: shown first, done exactly as shown, ended in order."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from commands import has_ended, until
from slow import STACK, Slow, engines

pytestmark = pytest.mark.engine
WAITS = "waits"


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Slow:
    """Return a command line whose stack is up."""
    made = Slow(tmp_path_factory.mktemp("automation"))
    made.want(a={"text": "one"}, b={"text": "one"})
    made.run("up")
    return made


def test_a_preview_of_a_new_stack_makes_nothing(tmp_path: Path) -> None:
    fresh = Slow(tmp_path)
    fresh.want(a={"text": "one"})
    seen = fresh.run("up", "--preview", "--json")
    assert [(change["action"], change["name"]) for change in seen.json()["changes"]] == [("create", "a")]
    assert fresh.stack_file.read_text() == STACK
    assert not (tmp_path / "config").exists()
    assert not (tmp_path / "state" / "pulumi").exists()
    assert not (fresh.things / "made").exists()


def test_what_is_up_needs_nothing_and_the_file_stays_its_writers(standing: Slow) -> None:
    assert standing.made() == ["a", "b"]
    assert "nothing to do" in standing.run("up").err
    text = standing.stack_file.read_text()
    assert "# ours" in text
    assert "# the platform" in text
    assert "mlplat:deployment: " in text
    secret = next((standing.folder / "config" / "passphrases").iterdir()).read_text().strip()
    kept = [path for path in (standing.folder / "state").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if secret in path.read_text(errors="replace")]


def test_a_change_names_its_field_and_one_that_deletes_is_asked_for(standing: Slow) -> None:
    standing.want(a={"text": "two"})
    refused = standing.run("up", code=2)
    assert "update  thing/a  (text)" in refused.err
    assert "delete  thing/b" in refused.err
    assert "say `--yes`" in refused.err
    assert (standing.things / "b").exists()
    standing.run("up", "--yes")
    assert not (standing.things / "b").exists()
    assert (standing.things / "a").read_text() == "two"


def test_a_world_that_moved_while_it_was_asked_is_refused(standing: Slow) -> None:
    standing.want(b={"text": "shown"})
    terminal, theirs = pty.openpty()
    started = subprocess.Popen(
        [*standing.command, "up"], cwd=standing.folder, env=standing.env, stdin=theirs, stderr=subprocess.PIPE
    )
    assert started.stderr is not None
    shown = b""
    while b"go on?" not in shown:
        read = os.read(started.stderr.fileno(), 4096)
        assert read, shown
        shown += read
    standing.want(b={"text": "never shown"})
    os.write(terminal, b"y\n")
    _, rest = started.communicate(timeout=240)
    os.close(terminal)
    os.close(theirs)
    assert started.returncode == 1
    assert "something changed after the preview" in rest.decode()
    assert "run the command again" in rest.decode()
    assert (standing.things / "a").exists()
    assert not (standing.things / "b").exists()


def test_an_error_is_its_message_and_its_hint(standing: Slow) -> None:
    standing.want(a={"text": "bad"})
    failed = standing.run("up", "--yes", code=1)
    standing.want(a={"text": "two"})
    assert "`bad` is no text" in failed.err
    assert "hint: write `good`" in failed.err
    log = standing.folder / "state" / "engine" / "acme.local.log"
    assert str(log) in failed.err
    assert "`bad` is no text" in log.read_text()


def test_what_is_protected_is_named_and_nothing_is_deleted(standing: Slow) -> None:
    standing.want(a={"text": "two"}, c={"text": "one", "protect": True})
    standing.run("up", "--yes")
    assert "`c`: protected" in standing.run("down", "--yes", code=1).err
    standing.want(a={"text": "two"})
    assert "`c`: protected" in standing.run("up", "--yes", code=1).err
    assert (standing.things / "c").exists()
    assert (standing.things / "a").exists()
    urn = "urn:pulumi:local::mlplat::slow:index:Thing::c"
    standing.pulumi().run("state", "unprotect", urn, "-s", "local", "--yes")
    standing.run("up", "--yes")
    assert not (standing.things / "c").exists()


def test_a_signal_lets_what_has_begun_end_and_leaves_no_lock(standing: Slow) -> None:
    text = "interrupted"
    standing.want(a={"text": text}, d={"text": text})
    standing.go.unlink()
    started = standing.start("up", "--yes")
    assert started.stderr is not None
    begun = next(line for line in started.stderr if WAITS in line)
    started.send_signal(signal.SIGINT)
    ending = next(line for line in started.stderr if "ending" in line)
    standing.go.touch()
    _, rest = started.communicate(timeout=240)
    assert started.returncode == 130, begun + ending + rest
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert standing.locks() == []
    state = json.loads(standing.pulumi().run("stack", "export", "-s", "local").out)["deployment"]
    assert not state.get("pending_operations")
    before = standing.made().count("a")
    standing.run("up", "--yes")
    assert standing.made().count("a") == before
    assert (standing.things / "d").read_text() == text


def test_a_killed_engine_leaves_a_lock_that_can_be_undone_and_nothing_is_made_twice(standing: Slow) -> None:
    standing.want(f={"text": "new"})
    standing.go.unlink()
    started = standing.start("up", "--yes")
    assert started.stderr is not None
    begun = next(line for line in started.stderr if WAITS in line)
    providers = [each for each in engines(started.pid)[0].children() if "things.py" in " ".join(each.cmdline())]
    held = standing.run("up", code=1)
    assert f"pid {engines(started.pid)[0].pid}" in held.err, begun
    assert "still works" in held.err
    assert "still works" in standing.run("state", "unlock", code=1).err
    engines(started.pid)[0].kill()
    _, rest = started.communicate(timeout=240)
    assert started.returncode == 1, rest
    assert standing.locks()
    standing.go.touch()
    # What the engine began ends, and so does whoever it had begun it.
    assert providers
    until(lambda: all(map(has_ended, providers)))
    killed = standing.run("up", code=1)
    assert "was killed" in killed.err
    assert "mlplat state unlock" in killed.err
    assert "forgot 1" in standing.run("state", "unlock").err
    standing.run("up", "--yes")
    assert standing.made().count("f") == 1


def test_down_ends_it_and_up_begins_again_on_the_same_backend(standing: Slow) -> None:
    identity = standing.stack_file.read_text().partition("mlplat:deployment: ")[2].split()[0]
    ended = standing.run("down", "--yes").err
    assert "delete  thing/f" in ended
    assert not (standing.things / "f").exists()
    standing.run("up")
    assert (standing.things / "f").exists()
    assert f"mlplat:deployment: {identity}" in standing.stack_file.read_text()
