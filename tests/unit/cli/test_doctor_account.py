"""`mlplat doctor` on a stack in an account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from moto import mock_aws

import awsasked
from mlplat.cli import cli
from mlplat.cli import doctor as verb
from mlplat.errors import StateError
from mlplat.targets.aws import preflight, session
from mlplat.targets.findings import Finding

IDENTITY = "0123456789abcdef"


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in a platform's repository, with moto's account; ask what is quickly answered."""
    awsasked.enter(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(preflight, "CHECKS", {name: preflight.CHECKS[name] for name in ("region", "names")})
    monkeypatch.setattr(session, "session", lambda _: awsasked.shared())
    (tmp_path / "stacks").mkdir()
    with mock_aws():
        yield tmp_path


def write(repository: Path, account: str = awsasked.ACCOUNT, **config: Any) -> None:
    """Write a stack file."""
    platform = {"version": 2, "target": "aws", "engine": {}, "aws": {"account": account, "region": "eu-west-1"}}
    text = json.dumps({"config": {"mlplat:platform": platform, **config}})
    (repository / "stacks" / "Pulumi.prod.yaml").write_text(text)


def doctor(*arguments: str) -> tuple[int, str, str]:
    """Type the command; return exit code, stdout and stderr."""
    result = CliRunner().invoke(cli, ["doctor", "-s", "prod", *arguments], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value or 0, result.stdout, result.stderr


def test_a_good_account_exits_with_0_and_every_check_has_its_line(repository: Path) -> None:
    write(repository)
    code, out, err = doctor()
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["ok", n] for n in ("cost", "account", "region", "names")
    ]
    assert "nothing is wrong" in err


def test_a_fault_exits_with_1_and_has_reason_and_mend(repository: Path) -> None:
    write(repository, account="999988887777")
    code, out, _ = doctor("--json")
    assert code == 1
    account = next(each for each in json.loads(out) if each["what"] == "account")
    assert not account["ok"]
    assert "999988887777" in account["said"]
    assert "AWS_PROFILE" in account["mend"]
    assert doctor()[2].count("account: choose the profile") == 1


def test_a_state_that_cannot_be_read_is_a_line_and_no_crash(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StateError("locked away", hint="bring the key")

    write(repository, **{"mlplat:deployment": IDENTITY})
    monkeypatch.setattr("mlplat.engine.binary.find", fail)
    code, out, err = doctor()
    assert code == 1
    assert "the stack's state cannot be read: locked away" in out
    assert "engine: bring the key" in err
    assert "could not be asked: the state does not say" in out


def test_what_the_state_knows_is_handed_on(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened:
        def resources(self) -> list[dict[str, Any]]:
            return [{"urn": "u", "id": "known"}]

    seen: dict[str, Any] = {}

    def examine(spec: object, stack: str, deployment: str | None, known: frozenset[str] | None) -> list[Finding]:
        seen.update(deployment=deployment, known=known)
        return []

    write(repository, **{"mlplat:deployment": IDENTITY})
    monkeypatch.setattr("mlplat.engine.binary.find", lambda _: None)
    monkeypatch.setattr("mlplat.engine.stack.existing", lambda *_, **__: Opened())
    monkeypatch.setattr(preflight, "examine", examine)
    assert doctor()[0] == 0
    assert seen == {"deployment": IDENTITY, "known": frozenset({"known"})}


def test_without_a_deployment_no_engine_is_needed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repository)
    monkeypatch.setattr(verb, "_known", lambda *_: pytest.fail("asked the engine"))
    assert doctor()[0] == 0
