"""`mlplat new` as a person meets it: exit code, stdout and stderr of real runs."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from typed import mlplat

CSV = "id,amount,left,at\n1,2.5,yes,2024-01-01\n2,3.5,no,2024-01-02\n"


@pytest.fixture
def place(place: Path) -> Path:
    """Return the empty folder in which the commands run, with a data file beside it."""
    (place.parent / "mine.csv").write_text(CSV)
    return place


def contents(folder: Path) -> dict[str, bytes]:
    listed = subprocess.check_output(["git", "ls-files"], cwd=folder, text=True).splitlines()
    return {path: (folder / path).read_bytes() for path in listed}


REFUSALS = {
    "new Churn --defaults": """\
error: `Churn` cannot be the name of a project
hint: use lower-case letters, digits and `-`, at most 63, starting and ending with a letter or digit
""",
    "new class --defaults": """\
error: `class` cannot be the name of a project: `class` is a Python keyword
hint: try `class-model` or `my-class`
""",
    "new json --defaults": """\
error: `json` cannot be the name of a project: `json` is a module of Python's standard library
hint: try `json-model` or `my-json`
""",
    "new metaflow --defaults": """\
error: `metaflow` cannot be the name of a project: it imports a package `metaflow`
hint: try `metaflow-model`
""",
    "new churn --template images --defaults": """\
error: there is no template `images`
hint: templates here: `tabular`
""",
    "new churn --defaults --set colour": """\
error: `--set colour` has no value
hint: write it as `--set NAME=VALUE`
""",
    "new churn --defaults --set taget=left": """\
error: the template `tabular` does not ask `taget`
hint: did you mean `target`?
""",
    "new churn --defaults --set target=left": """\
error: `target` cannot be set unless data != "flights"
""",
    "new churn --defaults --set data=../mine.csv": """\
error: `target` is needed: Column to predict
hint: give it with `--set target=…`
""",
    "new churn --defaults --set data=../mine.csv --set target=gone": """\
error: ../mine.csv: has no column `gone`
hint: its columns are id, amount, left, at
""",
    "new churn --defaults --set data=../mine.csv --set target=left --set time=when": """\
error: ../mine.csv: has no column `when`
hint: its columns are id, amount, left, at
""",
    "new churn --defaults --set data=../mine.csv --set target=left --set task=clustering": """\
error: `task`: `clustering` is not one of its choices
hint: one of binary, regression
""",
    "new churn --defaults --set data=../mine.csv --set target=left --set task=regression": """\
error: ../mine.csv:2: the target `left` is `yes`, which is no number
""",
    "new churn --defaults --set data=../absent.csv --set target=left": """\
error: there is no data file ../absent.csv
hint: give a CSV or Parquet file with `--set data=PATH`
""",
}


@pytest.mark.parametrize("command", REFUSALS)
def test_a_refusal_says_why_and_what_to_do_and_leaves_nothing(place: Path, command: str) -> None:
    assert mlplat(*shlex.split(command)) == f"exit 2\n--- stdout\n--- stderr\n{REFUSALS[command]}"
    assert list(place.iterdir()) == []


def test_without_a_terminal_a_question_is_an_error_that_names_its_flag(place: Path) -> None:
    told = mlplat("new", "churn")
    assert told.startswith(
        "exit 2\n--- stdout\n--- stderr\nerror: `data` is not set and there is no terminal to ask on"
    )
    assert told.endswith("hint: give it with `--set data=…`, or take all defaults with `--defaults`\n")
    assert list(place.iterdir()) == []


def test_a_project_is_made_where_it_was_asked_and_its_folder_is_printed(place: Path) -> None:
    told = mlplat("new", "churn", "--defaults")
    assert told.startswith(f"exit 0\n--- stdout\n{place}/churn\n--- stderr\nmade churn from the template tabular ")
    assert told.endswith("next: `cd churn`, then `mlplat run train`\n")


def test_a_folder_that_is_not_empty_is_left_alone(place: Path) -> None:
    (place / "churn").mkdir()
    (place / "churn/mine").touch()
    assert mlplat("new", "churn", "--defaults") == (
        f"exit 2\n--- stdout\n--- stderr\nerror: {place}/churn is not empty\n"
        "hint: choose another name, or another place with `--into DIR`\n"
    )


@pytest.mark.parametrize(
    "options",
    [
        "--defaults",
        "--defaults --into sub/folder",
        "--defaults --set data=../mine.csv --set target=left --set time=at",
        "--defaults --set data=../mine.csv --set task=regression --set target=amount --set model=spend",
    ],
)
def test_the_command_that_is_shown_makes_the_same_project_again(place: Path, options: str) -> None:
    told = mlplat("new", "churn", *shlex.split(options))
    folder = Path(told.split("--- stdout\n")[1].partition("\n")[0])
    shown = told.split("the same without questions: `")[1].partition("`")[0]
    first = contents(folder)
    subprocess.run(["rm", "-rf", folder], check=True)
    again = mlplat(*shlex.split(shown)[1:])
    assert again.startswith("exit 0"), again
    assert contents(folder) == first


SPAWN = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


INTERRUPT = "\x03"


def on_a_terminal(argv: list[str], typed: list[tuple[str, str]]) -> tuple[str, int]:
    """Run the command line on a terminal, typing each answer when its prompt is there; return what it shows.

    An interrupt that arrives just before Python begins to read is noticed only at the next one, so it is repeated; but
    not soon: one that was noticed may wait for the processor, and another one would end it half-way through its end.
    """
    command = [sys.executable, "-c", SPAWN, sys.executable, "-m", "mlplat", *argv]
    shown, seen, last, told, deadline = b"", 0, "", 0.0, time.monotonic() + 240
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin
        assert child.stdout
        while time.monotonic() < deadline:
            if not select.select([child.stdout], [], [], 0.2)[0]:
                if last == INTERRUPT and b"interrupted" not in shown and time.monotonic() > told + 10:
                    told = time.monotonic()
                    child.stdin.write(INTERRUPT.encode())
                continue
            if not (piece := os.read(child.stdout.fileno(), 4096)):
                break
            shown += piece
            if typed and typed[0][0].encode() in shown[seen:]:
                seen, last, told = len(shown), typed.pop(0)[1], time.monotonic()
                child.stdin.write(last.encode())
        else:
            child.kill()
    return shown.decode(), child.returncode


def test_on_a_terminal_it_asks_at_most_three_things_and_asks_again_what_was_wrong(place: Path) -> None:
    typed = [
        ("Parquet file", "../mine.csv\n"),
        ("regression)?", "both\n"),
        ("regression)?", "binary\n"),
        ("Column to", "left\n"),
    ]
    shown, code = on_a_terminal(["new", "churn"], typed)
    assert code == 0, shown
    assert "`both` is not one of its choices" in shown
    assert "`mlplat new churn --defaults --set data=../mine.csv --set target=left`" in shown
    assert (place / "churn/.mlplat/answers.json").exists()


def test_giving_up_at_a_question_leaves_nothing(place: Path) -> None:
    shown, code = on_a_terminal(["new", "churn"], [("Parquet file", INTERRUPT)])
    assert code == 130, shown
    assert list(place.iterdir()) == []
