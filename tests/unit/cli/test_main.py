from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mlplat.cli import GROUPS, cli

VERBS = [verb for verbs in GROUPS.values() for verb in verbs]


def run(*argv: str, cwd: Path | None = None) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "mlplat", *argv], capture_output=True, text=True, cwd=cwd, check=False)
    return done.returncode, done.stdout, done.stderr


def commands() -> list[tuple[str, click.Command]]:
    found = []
    for verb in VERBS:
        command = importlib.import_module(f"mlplat.cli.{verb}").command
        below = command.commands.items() if isinstance(command, click.Group) else ()
        found += [(verb, command), *((f"{verb} {name}", each) for name, each in below)]
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_has_help_with_an_example(name: str, command: click.Command) -> None:
    with click.Context(command, info_name=name) as context:
        text = command.get_help(context)
    assert "Example:" in text
    assert f"mlplat {name.partition(' ')[0]}" in text


def test_every_verb_has_its_line_and_no_line_is_without_a_verb() -> None:
    modules = {path.stem for path in (Path(importlib.import_module("mlplat.cli").__file__ or "").parent).glob("*.py")}
    assert set(VERBS) == modules - {
        "__init__",
        "clusterdown",
        "promotion",
        "clusters",
        "console",
        "pages",
        "footprint",
        "running",
        "options",
        "questions",
        "interrupts",
        "endpoints",
        "stacks",
        "standing",
        "workflows",
        "clouds",
        "dataplaces",
        "contributions",
        "review",
    }
    assert cli.list_commands(click.Context(cli)) == VERBS


HEAVY = ("pydantic", "httpx", "rich", "mlflow", "pandas", "sklearn", "supervisor", "ruamel.yaml")


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from mlplat.cli import cli
try:
    cli(["--help"])
except SystemExit:
    pass
print([name for name in {HEAVY} if name in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["upp"], 2, "there is no command `upp`; did you mean `mlplat up`?"),
        (["up", "-s", "prod"], 2, "error: there is no stacks/Pulumi.prod.yaml"),
        (["up", "-s", "../x"], 2, "error: `../x` cannot be the name of a stack"),
        (["explain", "gatewy"], 2, "error: there is no key `gatewy`"),
        (["logs", "tracking"], 2, "error: there is no log of `tracking`"),
        (["outputs"], 1, "error: the platform `mlplat` was never stood up here"),
        (["open", "gateway"], 2, "error: `gateway` has no pages"),
        (["open"], 1, "error: `tracking` does not answer"),
        (["down", "--delete-data", "--bad"], 2, "No such option"),
    ],
)
def test_a_refusal_is_an_error_on_stderr_with_its_exit_code(
    argv: list[str], status: int, said: str, tmp_path: Path
) -> None:
    code, out, err = run(*argv, cwd=tmp_path)
    assert (code, out) == (status, "")
    assert said in err
    assert "Traceback" not in err


def test_a_stack_file_with_problems_lists_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    path = tmp_path / "stacks" / "Pulumi.local.yaml"
    path.write_text("config:\n  mlplat:platform:\n    gateway: {prot: 1}\n    tracking: {port: 80}\n")
    code, out, err = run("up", "--preview", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: stacks/Pulumi.local.yaml:3: config.mlplat:platform.gateway.prot: unknown key",
        (
            "error: stacks/Pulumi.local.yaml:4: config.mlplat:platform.tracking.port: "
            "input should be greater than or equal to 1024, not 80"
        ),
        "hint: did you mean `port`? `mlplat explain gateway` lists the keys",
    ]


def test_a_preview_changes_nothing_and_prints_the_same_as_json(tmp_path: Path) -> None:
    code, out, err = run("up", "--preview", "--json", cwd=tmp_path)
    assert code == 0
    assert '"action": "create"' in out
    assert "create  service/tracking" in err
    assert not (tmp_path / "state").exists()


def test_explain_prints_keys_as_data(tmp_path: Path) -> None:
    code, out, _ = run("explain", "gateway", cwd=tmp_path)
    assert code == 0
    assert "admin_port" in out


def test_status_of_nothing_exits_with_1(tmp_path: Path) -> None:
    code, out, err = run("status", cwd=tmp_path)
    assert code == 1
    assert "tracking" in out
    assert "mlplat up" in err
