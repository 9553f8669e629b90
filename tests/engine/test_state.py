"""Where a stack is remembered: plain `pulumi` beside mlplat, moves, and the wrong place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slow import Slow

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Slow:
    """Return a command line whose stack is up."""
    made = Slow(tmp_path_factory.mktemp("state"))
    made.want(a={"text": "one"})
    made.run("up")
    return made


def identity(slow: Slow) -> str:
    return slow.stack_file.read_text().partition("mlplat:deployment: ")[2].split()[0]


def test_a_shell_takes_what_env_prints(standing: Slow) -> None:
    printed = standing.run("state", "env").out
    script = 'eval "$1"; pulumi stack output deployment -s local; command -v pulumi-resource-mlplat'
    done = subprocess.run(
        ["sh", "-c", script, "sh", printed],
        cwd=standing.folder,
        env=standing.env,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert done.stdout.splitlines()[0] == identity(standing)
    assert "PASSPHRASE_FILE" in printed
    standing.pulumi().run("preview", "-s", "local")


def test_a_stack_without_an_engine_has_nothing_to_say(tmp_path: Path) -> None:
    plain = Slow(tmp_path)
    plain.stack_file.write_text(plain.stack_file.read_text().replace("    engine: {} # shared\n", ""))
    assert "has no engine" in plain.run("state", "env", code=2).err


def test_a_stack_moves_whole_and_its_old_place_says_where_it_went(standing: Slow) -> None:
    before, first = standing.stack_file.read_text(), standing.folder / "state" / "pulumi"
    second = f"file://{standing.folder / 'second'}"
    moved = standing.run("state", "migrate", "--to", second, "--json").json()
    assert moved["target"] == second
    assert moved["resources"] == 3
    text = standing.stack_file.read_text()
    assert second in text
    assert set(before.splitlines()) - set(text.splitlines()) == {"    engine: {} # shared"}
    assert "nothing to do" in standing.run("up").err
    assert standing.made() == ["a"]
    assert "is at" in standing.run("state", "migrate", "--to", second, code=1).err
    standing.stack_file.write_text(before)
    refused = standing.run("up", "--yes", code=1)
    assert f"moved to {second}" in refused.err
    plain = standing.pulumi()
    assert plain.env["PULUMI_BACKEND_URL"] == f"file://{first}"
    guarded = plain.run("preview", "-s", "local", code=None)
    assert guarded.code != 0
    assert f"moved to {second}" in guarded.out + guarded.err
    standing.stack_file.write_text(text)
    assert standing.made() == ["a"]


def test_a_place_that_does_not_hold_the_stack_is_refused_by_both(standing: Slow) -> None:
    kept = standing.stack_file.read_text()
    third = f"file://{standing.folder / 'third'}"
    standing.stack_file.write_text(kept.replace(f"file://{standing.folder / 'second'}", third))
    refused = standing.run("up", "--yes", code=1)
    assert identity(standing) in refused.err
    assert third in refused.err
    standing.stack_file.write_text(kept)
    plain = standing.pulumi()
    (standing.folder / "third").mkdir(exist_ok=True)
    plain.env["PULUMI_BACKEND_URL"] = third
    plain.run("stack", "init", "local")
    guarded = plain.run("preview", "-s", "local", code=None)
    assert guarded.code != 0
    assert "none of it" in guarded.out + guarded.err
    assert standing.made() == ["a"]


def test_a_move_that_was_interrupted_is_made_again(standing: Slow) -> None:
    kept = standing.stack_file.read_text()
    fourth = f"file://{standing.folder / 'fourth'}"
    (standing.folder / "fourth").mkdir()
    there = standing.pulumi()
    state = there.run("stack", "export", "-s", "local").out
    there.env["PULUMI_BACKEND_URL"] = fourth
    there.run("stack", "init", "local")
    (standing.folder / "copy.json").write_text(state)
    there.run("stack", "import", "-s", "local", "--file", str(standing.folder / "copy.json"))
    assert "nothing to do" in standing.run("up").err
    standing.run("state", "migrate", "--to", fourth)
    assert fourth in standing.stack_file.read_text()
    assert kept != standing.stack_file.read_text()
    assert "nothing to do" in standing.run("up").err


def test_plain_pulumi_may_end_a_stack_and_begin_it_again_in_its_place(standing: Slow) -> None:
    plain = standing.pulumi()
    plain.run("destroy", "-s", "local", "--yes", "--skip-preview")
    assert not (standing.things / "a").exists()
    plain.run("preview", "-s", "local")
    standing.run("up")
    assert (standing.things / "a").exists()
