from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from commands import until
from mlplat import supervision
from mlplat.errors import NotReadyError, StateError
from mlplat.supervision import Orphan, Program, Supervisor, locked

PYTHON = Path(sys.executable)


def program(state: Path, name: str, *code: str, env: dict[str, str] | None = None) -> Program:
    body = code[0] if code else "import time; time.sleep(600)"
    return Program(name, (sys.executable, "-c", body), env or {}, str(state), str(state / "logs" / f"{name}.log"))


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path / "platform")
    yield made
    with contextlib.suppress(NotReadyError, StateError):
        made.stop()
    made.end_orphans()


def pids(supervisor: Supervisor) -> dict[str, int]:
    return {name: process.pid for name, process in supervisor.processes().items() if process.state == "RUNNING"}


def test_what_is_written_is_read_back_whatever_it_holds(supervisor: Supervisor) -> None:
    odd = program(
        supervisor.state, "odd", "print('100 % \"ok\"; #')", env={"A": "50%", "B": "say 'hi' once", "C": 'a "b" c'}
    )
    assert supervisor.write("endpoint/p.m", [odd])
    assert supervisor.read("endpoint/p.m") == {"odd": odd}
    assert supervisor.owners() == ["endpoint/p.m"]
    assert not supervisor.write("endpoint/p.m", [odd])


def test_files_are_private(supervisor: Supervisor) -> None:
    supervisor.write("platform", [program(supervisor.state, "a")])
    assert {path.stat().st_mode & 0o777 for path in supervisor.programs.iterdir()} == {0o600}


@pytest.mark.parametrize("value", ["a'\"b", '"a"', "a'", "a\nb", "%(here)s"])
def test_a_value_that_supervisor_would_change_is_refused(supervisor: Supervisor, value: str) -> None:
    with pytest.raises(StateError, match="hand"):
        supervisor.write("platform", [program(supervisor.state, "a", env={"A": value})])


def test_values_arrive_unchanged(supervisor: Supervisor) -> None:
    env = {"PERCENT": "50% %(ENV_HOME)s", "QUOTED": 'say "hi" twice', "SPACED": "a,b = c"}
    shown = program(
        supervisor.state, "shown", "import os,time; print(dict(os.environ), flush=True); time.sleep(60)", env=env
    )
    supervisor.write("platform", [shown])
    supervisor.start(PYTHON)
    log = Path(shown.log)
    until(lambda: log.is_file() and log.read_text().endswith("}\n"))
    seen = eval(log.read_text())  # noqa: S307 - a dict that our own child printed
    assert {name: seen[name] for name in env} == env


def test_the_shells_secrets_do_not_reach_a_service(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "planted")
    supervisor.write("platform", [program(supervisor.state, "a")])
    supervisor.start(PYTHON)
    until(lambda: pids(supervisor))
    assert "SECRET_TOKEN" not in psutil.Process(pids(supervisor)["a"]).environ()


def test_one_owner_never_disturbs_another(supervisor: Supervisor) -> None:
    state = supervisor.state
    supervisor.write("platform", [program(state, "a"), program(state, "b")])
    supervisor.write("endpoint/p.m", [program(state, "r1")])
    supervisor.start(PYTHON)
    until(lambda: len(pids(supervisor)) == 3)
    before = pids(supervisor)
    changed = program(state, "b", env={"NEW": "1"})
    supervisor.write("platform", [program(state, "a"), changed, program(state, "c")])
    assert supervisor.apply() == {"b", "c"}
    until(lambda: len(pids(supervisor)) == 4)
    after = pids(supervisor)
    assert (after["a"], after["r1"]) == (before["a"], before["r1"])
    assert after["b"] != before["b"]
    supervisor.write("endpoint/p.m", [])
    assert supervisor.apply() == {"r1"}
    assert "r1" not in supervisor.processes()
    assert not psutil.pid_exists(before["r1"])


def test_a_killed_program_comes_back(supervisor: Supervisor) -> None:
    supervisor.write("platform", [program(supervisor.state, "a")])
    supervisor.start(PYTHON)
    until(lambda: pids(supervisor))
    before = pids(supervisor)["a"]
    os.kill(before, signal.SIGKILL)
    until(lambda: pids(supervisor).get("a", before) != before)


def test_orphans_of_a_killed_supervisord_are_found_and_ended(supervisor: Supervisor) -> None:
    supervisor.write("platform", [program(supervisor.state, "a")])
    supervisor.start(PYTHON)
    until(lambda: pids(supervisor))
    assert supervisor.orphans() == []
    child, daemon = pids(supervisor)["a"], supervisor.pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)
    until(lambda: supervisor.pid() is None)
    assert supervisor.orphans() == [Orphan("a", child)]
    supervisor.end_orphans()
    assert not psutil.pid_exists(child)


def test_another_platforms_processes_are_no_orphans_of_this_one(supervisor: Supervisor, tmp_path: Path) -> None:
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={"MLPLAT_STATE": str(tmp_path)}
    )
    try:
        assert supervisor.orphans() == []
    finally:
        stranger.kill()
        stranger.wait()


def test_stop_ends_everything_and_twice_is_once(supervisor: Supervisor) -> None:
    supervisor.write("platform", [program(supervisor.state, "a")])
    supervisor.start(PYTHON)
    until(lambda: pids(supervisor))
    child = pids(supervisor)["a"]
    supervisor.stop()
    assert supervisor.pid() is None
    assert not psutil.pid_exists(child)
    supervisor.stop()


def test_a_long_state_path_still_gets_a_socket(tmp_path: Path) -> None:
    made = Supervisor(tmp_path / ("d" * 120))
    assert len(str(made.socket)) <= 100
    made.write("platform", [program(made.state, "a")])
    made.start(PYTHON)
    try:
        until(lambda: pids(made))
    finally:
        made.stop()


def test_a_daemon_that_cannot_start_shows_its_log(supervisor: Supervisor) -> None:
    supervisor.write("platform", [program(supervisor.state, "a")])
    next(supervisor.programs.glob("*.conf")).write_text("[program:a]\nautostart=true\n")
    with pytest.raises(NotReadyError, match="supervisord did not start"):
        supervisor.start(PYTHON)


def test_a_file_that_cannot_be_read_is_named(supervisor: Supervisor) -> None:
    supervisor.write("platform", [program(supervisor.state, "a")])
    path = next(supervisor.programs.glob("*.conf"))
    path.write_text("; {broken\n")
    with pytest.raises(StateError, match="cannot be read") as caught:
        supervisor.read("platform")
    assert str(path) in caught.value.message


def test_the_lock_names_who_holds_it(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path, "mlplat up"):
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(20)
    try:
        with (
            pytest.raises(StateError, match=f"is locked by mlplat up \\(pid {os.getpid()}\\)"),
            locked(tmp_path, "x", 0.1),
        ):
            pass
    finally:
        leave.set()
        thread.join()
    with locked(tmp_path, "x", 0.1):
        pass


def test_a_damaged_file_is_found_and_put_aside(supervisor: Supervisor) -> None:
    supervisor.write("platform", [program(supervisor.state, "a")])
    supervisor.write("endpoint/p.m", [program(supervisor.state, "r1")])
    assert supervisor.damaged() == {}
    good, path = supervisor.file("platform"), supervisor.file("endpoint/p.m")
    head = path.read_text().partition("\n")[0]
    for content in (
        b"\x80\xff",
        b"",
        b"; []x",
        f"{head}\n[program:other]\ncommand=x\n".encode(),
        head.encode() + b"\n[br",
    ):
        path.write_bytes(content)
        assert list(supervisor.damaged()) == [path]
    aside = supervisor.put_aside(path)
    assert supervisor.damaged() == {}
    assert supervisor.owners() == ["platform"]
    assert aside.exists()
    assert good.exists()


def test_a_stopped_supervisord_is_not_waited_for(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "ASK_SECONDS", 0.3)
    supervisor.write("platform", [program(supervisor.state, "a")])
    supervisor.start(PYTHON)
    until(lambda: pids(supervisor))
    child, daemon = pids(supervisor)["a"], supervisor.pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGSTOP)
    assert supervisor.pid(timeout=0.3) is None
    with pytest.raises(StateError, match="does not answer"):
        supervisor.apply()
    ended = supervisor.end_orphans(patience=0.3)
    assert {(each.name, each.pid) for each in ended} == {("a", child), ("supervisord", daemon)}
    assert not psutil.pid_exists(child)


def test_whoever_asks_from_within_is_no_orphan(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(supervision.OWNER_VARIABLE, str(supervisor.state))
    code = (
        "import sys; from pathlib import Path; from mlplat.supervision import Supervisor\n"
        "print(Supervisor(Path(sys.argv[1])).end_orphans())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(supervisor.state)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("form", ["a\nb"])
def test_an_argument_with_a_break_is_refused(supervisor: Supervisor, form: str) -> None:
    with pytest.raises(StateError, match="break"):
        supervisor.write("platform", [program(supervisor.state, "a", form)])
