"""The watchdog against a real supervisord, and services of a few lines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from commands import until
from mlplat.supervision import Program, Supervisor, locked
from mlplat.watchdog import loop, restarts
from mlplat.watchdog.listener import EVENTS

SERVER = """
import http.server, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        open("answered", "w").close()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", {port}), Answer).serve_forever()
"""


@pytest.fixture
def guarded(tmp_path: Path, free_port: int) -> Iterator[Supervisor]:
    """A service that ignores SIGTERM, and the watchdog, which it has answered."""
    made = Supervisor(tmp_path / "platform")
    state = made.state
    # Times that a busy computer keeps: a restart for want of the processor would be one too many.
    record = {"ready": {"path": "/", "port": "http", "timeout": 60}, "ports": {"http": free_port}}
    (state / "services").mkdir(parents=True)
    (state / "services" / "web.json").write_text(json.dumps(record))
    (state / "services" / "broken.json").write_text("{")
    script = state / "web.py"
    script.write_text(SERVER.format(port=free_port))
    web = Program("web", (sys.executable, str(script)), {}, str(state), str(state / "logs" / "web"), stop_seconds=1)
    made.write("platform", [web])
    argv = (sys.executable, "-m", "mlplat.watchdog", "--state", str(state), "--every", "0.2", "--answer", "2")
    made.write("watchdog", [Program("watchdog", argv, {}, str(state), str(state / "logs" / "dog"), events=EVENTS)])
    made.start(Path(sys.executable))
    until(lambda: {each.state for each in made.processes().values()} == {"RUNNING"})
    # Before, it would be one that starts slowly, not one that hangs.
    until((state / "answered").exists)
    yield made
    with contextlib.suppress(Exception):
        made.stop()
    made.end_orphans()


def pid(supervisor: Supervisor, name: str = "web") -> int:
    process = supervisor.processes().get(name)
    return process.pid if process and process.state == "RUNNING" else 0


def running(supervisor: Supervisor, name: str = "web") -> int:
    """Wait until a program runs; return its process id. A signal to 0 would be one to the tests themselves."""
    return until(lambda: pid(supervisor, name))


def counted(supervisor: Supervisor) -> dict[str, int]:
    return {name: each.count for name, each in restarts.read(supervisor.state, supervisor.pid()).items()}


def changed(supervisor: Supervisor, before: int) -> Callable[[], bool]:
    return lambda: pid(supervisor) not in (0, before)


def test_what_hangs_is_ended_against_its_will_but_not_while_somebody_changes_what_runs(guarded: Supervisor) -> None:
    before = running(guarded)
    os.kill(before, signal.SIGSTOP)
    log = guarded.state / "logs" / "dog"
    with locked(guarded.state, "mlplat up"):
        until(lambda: "does not answer" in log.read_text())
        assert "is restarted" not in log.read_text()
        assert pid(guarded) == before
    until(changed(guarded, before), 60, "another process")
    until(lambda: counted(guarded) == {"web": 1})
    assert re.search(rf"web \(pid {before}\): .*: it is restarted", log.read_text())


def test_what_is_killed_is_counted_and_a_killed_watchdog_goes_on(guarded: Supervisor) -> None:
    os.kill(running(guarded), signal.SIGKILL)
    until(lambda: counted(guarded) == {"web": 1})
    dog = running(guarded, "watchdog")
    os.kill(dog, signal.SIGKILL)
    until(lambda: pid(guarded, "watchdog") not in (0, dog))
    os.kill(running(guarded), signal.SIGKILL)
    until(lambda: counted(guarded).get("web") == 2)


def test_the_watchdog_ends_with_supervisord(guarded: Supervisor) -> None:
    daemon = guarded.pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)
    until(lambda: [each.name for each in guarded.orphans()] == ["web"])


def test_a_restart_is_soon_enough_to_be_waited_for() -> None:
    longest = loop.EVERY_SECONDS + loop.ANSWER_SECONDS
    assert longest * 3 + loop.END_SECONDS < 30
