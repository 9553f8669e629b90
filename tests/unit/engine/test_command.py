"""The engine's process and signals."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from pulumi.automation.errors import CommandError

from mlplat.engine.binary import Binary
from mlplat.engine.command import AGAIN, ONCE, Command

ENGINE = """#!/bin/sh
trap 'count=$((count+1)); echo signal $count; [ $count = {ends} ] && exit 1' INT
count=0 left=2400
echo ready
while [ $((left-=1)) -gt 0 ]; do sleep 0.05; done
"""
"""It ends well after two minutes to which no signal came, so that one that is lost does not stop the tests."""


def engine(folder: Path, script: str) -> Binary:
    path = folder / "pulumi"
    path.write_text(script)
    path.chmod(0o755)
    return Binary(path, "3.259.0")


def test_it_says_what_it_was_told_and_what_it_ended_with(tmp_path: Path) -> None:
    script = '#!/bin/sh\necho "$@" "$TOLD"\necho wrong >&2\nexit $CODE\n'
    command, heard = Command(engine(tmp_path, script), print), list[str]()
    done = command.run(["up"], str(tmp_path), {"TOLD": "x", "CODE": "0"}, heard.append)
    assert done.stdout == "--non-interactive up x"
    assert (done.stderr, heard) == ("wrong", [done.stdout])
    with pytest.raises(CommandError, match="wrong"):
        command.run(["up"], str(tmp_path), {"CODE": "7"})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_engine_once_and_nothing_more_is_begun(tmp_path: Path, number: signal.Signals) -> None:
    said: list[str] = []
    heard: list[str] = []
    command = Command(engine(tmp_path, ENGINE.format(ends=1)), said.append)
    before = signal.getsignal(number)

    def hear(line: str) -> None:
        heard.append(line)
        if line == "ready":
            os.kill(os.getpid(), number)

    with pytest.raises(CommandError):
        command.run(["up"], str(tmp_path), {}, hear)
    assert command.interrupted == number
    assert (heard, said) == (["ready", "signal 1"], [ONCE])
    assert signal.getsignal(number) == before
    with pytest.raises(CommandError):
        command.run(["stack"], str(tmp_path), {}, heard.append)
    assert heard == ["ready", "signal 1"]


def test_a_signal_that_another_thread_takes_reaches_the_engine_too(tmp_path: Path) -> None:
    """It did not wake the main thread, which waited for the engine's end, as one that came just before the wait."""
    said: list[str] = []
    command = Command(engine(tmp_path, ENGINE.format(ends=1)), said.append)

    def hear(line: str) -> None:
        if line == "ready":
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with pytest.raises(CommandError):
        command.run(["up"], str(tmp_path), {}, hear)
    assert said == [ONCE]


def test_a_second_signal_is_passed_on_and_told(tmp_path: Path) -> None:
    said: list[str] = []
    command = Command(engine(tmp_path, ENGINE.format(ends=2)), said.append)

    def hear(line: str) -> None:
        if line in ("ready", "signal 1"):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(CommandError):
        command.run(["up"], str(tmp_path), {}, hear)
    assert said == [ONCE, AGAIN]


def test_the_engine_is_out_of_reach_of_a_terminals_own_signal(tmp_path: Path) -> None:
    command = Command(engine(tmp_path, "#!/bin/sh\nps -o sid= -p $$\n"), print)
    assert int(command.run([], str(tmp_path), {}).stdout) != os.getsid(0)
