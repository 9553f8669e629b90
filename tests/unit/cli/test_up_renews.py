"""What `mlplat up` does with a stack file in an older form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

OLD = "config:\n  mlplat:platform:\n    version: 1 # of its form\n    serving: {prediction_log: {keep_megabytes: 9}}\n"
DIFF = """\
--- stacks/Pulumi.local.yaml (version 1)
+++ stacks/Pulumi.local.yaml
@@ -3,2 +3,2 @@
-    version: 1 # of its form
-    serving: {prediction_log: {keep_megabytes: 9}}
+    version: 2 # of its form
+    serving: {prediction_log: {retention: {megabytes: 9}}}
"""
WARNING = (
    "warning: stacks/Pulumi.local.yaml is of version 1 and read as version 2; "
    "`mlplat up` shows the change and writes it\n"
)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "stacks" / "Pulumi.local.yaml"
    path.parent.mkdir()
    path.write_text(OLD)
    return path


def mlplat(*argv: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "mlplat", *argv]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_preview_shows_the_change_and_writes_nothing(stack: Path) -> None:
    code, out, err = mlplat("up", "--preview", "--json")
    assert (code, stack.read_text()) == (0, OLD)
    assert err.startswith(WARNING + DIFF)
    assert json.loads(out)["changes"]


def test_without_a_terminal_it_is_written_only_when_that_was_agreed_to(stack: Path) -> None:
    code, out, err = mlplat("up")
    assert (code, out, stack.read_text()) == (2, "", OLD)
    assert err == (
        f"{WARNING}{DIFF}error: stacks/Pulumi.local.yaml would be written in a newer form, and nobody can be asked\n"
        "hint: say `--yes`, or look with `--preview`\n"
    )


SPAWN = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def test_on_a_terminal_it_is_asked_and_a_no_leaves_everything(stack: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPAWN, sys.executable, "-m", "mlplat", "up"]
    done = subprocess.run(command, input="n\n", capture_output=True, text=True, check=False)
    shown = done.stdout.replace("\r\n", "\n")
    assert DIFF + "write stacks/Pulumi.local.yaml? [y/N]: " in shown
    assert (done.returncode, stack.read_text()) == (130, OLD)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("verb", [["status"], ["outputs"], ["down"], ["doctor"], ["up", "--preview"]])
def test_every_verb_reads_it_and_says_so_once(stack: Path, verb: list[str]) -> None:
    _, out, err = mlplat(*verb)
    assert err.count(WARNING) == 1
    assert "version" not in out
    assert stack.read_text() == OLD


def test_a_file_with_problems_is_not_renewed(stack: Path) -> None:
    stack.write_text(OLD.replace("9", "many"))
    code, _, err = mlplat("up", "--yes")
    assert code == 2
    assert "stacks/Pulumi.local.yaml:4: config.mlplat:platform.serving.prediction_log.retention.megabytes" in err
    assert "+++" not in err
    assert stack.read_text() == OLD.replace("9", "many")


def test_an_older_mlplat_refuses_a_newer_file(stack: Path) -> None:
    stack.write_text("config:\n  mlplat:platform: {version: 3, whatever: 1}\n")
    for verb in ("up", "status", "down"):
        code, out, err = mlplat(verb)
        assert (code, out) == (2, "")
        assert err == (
            "error: stacks/Pulumi.local.yaml: version: is 3, and this mlplat knows 2\nhint: use a newer mlplat\n"
        )


def test_the_schema_beside_it_is_renewed_with_it(stack: Path) -> None:
    from mlplat.spec import schema

    own = stack.parent / "own.json"
    own.write_text("{}")
    for text, written in [
        ('{"title": "A stack of mlplat"}', ["stacks/schema.json"]),
        ('{"title": "mine"}', []),
        ("[", []),
    ]:
        (stack.parent / "schema.json").write_text(text)
        assert schema.renew(stack.parent) == written
        assert ((stack.parent / "schema.json").read_text() == schema.text()) == bool(written)
    assert own.read_text() == "{}"
