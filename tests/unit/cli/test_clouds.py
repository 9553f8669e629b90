"""`mlplat down` and `status` on a cloud's target: what is asked and in which order, what stops it, what is told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlplat.cli import cli, clouds, running, stacks
from mlplat.engine import summary
from mlplat.engine.ending import Ending
from mlplat.errors import MlplatError, UnreachableError
from mlplat.spec.platform import PlatformSpec, read_platform
from mlplat.targets.aws import drain, ends, leftovers, session
from mlplat.targets.kubernetes.status import Row

FILE = """\
config:
  mlplat:deployment: 0123456789abcdef
  mlplat:platform:
    version: 2
    name: acme
    target: aws
    engine: {}
    aws:
      account: "111122223333"
      region: eu-west-1
"""
STACK = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"
BUCKET = "urn:pulumi:dev::p::aws:s3/bucket:Bucket::data"
CLUSTER = "urn:pulumi:dev::p::aws:eks/cluster:Cluster::cluster"


class Held:
    """A stack that writes down what is done to it."""

    def __init__(self, spec: PlatformSpec, file: Path, did: list[str], *, protected: bool = True) -> None:
        self.spec, self.file, self.name, self.did = spec, file, "dev", did
        self.kept = {"protect": protected, "retainOnDelete": protected}
        self.locked = {"protect": protected}

    def refuse_locked(self) -> None:
        self.did.append("looked for locks")

    def resources(self) -> list[dict[str, Any]]:
        return [
            {"urn": STACK, "type": "pulumi:pulumi:Stack"},
            {"urn": BUCKET, "type": "aws:s3/bucket:Bucket", "custom": True, "id": "acme-data", **self.kept},
            {
                "urn": CLUSTER,
                "type": "aws:eks/cluster:Cluster",
                "custom": True,
                "id": "acme",
                "outputs": {"name": "acme", "deletionProtection": True},
                **self.locked,
            },
        ]

    def let_go(self, ending: Ending, _: Any) -> None:
        self.did.append(f"let go of {len(ending.guarded)}")

    def end(self, ending: Ending, _: Any) -> None:
        self.did.append(f"ended {len(ending.goes)}")


@pytest.fixture
def did() -> list[str]:
    """Return what was done, in order."""
    return []


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, did: list[str]) -> Held:
    """Have a stack file in the present folder, and a stack behind it."""
    file = tmp_path / "stacks" / "Pulumi.dev.yaml"
    file.parent.mkdir()
    file.write_text(FILE)
    monkeypatch.chdir(tmp_path)
    held = Held(read_platform(file), file, did)
    monkeypatch.setattr(stacks, "find", lambda *_: held)
    monkeypatch.setattr(session, "open", lambda _: SimpleNamespace())
    monkeypatch.setattr(ends, "unlock", lambda _, locked, __: did.append(f"unlocked {len(locked)}"))

    def find(*_: Any, **more: Any) -> list[Any]:
        did.append(f"looked, data={more['data']}")
        return []

    def drained(*_: Any) -> list[str]:
        did.append("drained")
        return ["nodepools/gpu"]

    monkeypatch.setattr(leftovers, "find", find)
    monkeypatch.setattr(drain, "drain", drained)

    @contextlib.contextmanager
    def reached(*_: Any) -> Iterator[str]:
        yield "cluster"

    monkeypatch.setattr(ends, "reached", reached)
    return held


def down(*argv: str) -> Result:
    """Type `mlplat down`."""
    return run("down", *argv)


def run(verb: str, *argv: str) -> Result:
    """Type a command without a terminal; its exit code is the one a person would see."""
    result = CliRunner().invoke(cli, [verb, "-s", "dev", *argv], standalone_mode=False)
    if isinstance(result.exception, MlplatError):
        result.exit_code = result.exception.exit_code
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    elif isinstance(result.return_value, int):
        result.exit_code = result.return_value
    return result


@pytest.mark.usefixtures("stack")
def test_the_cluster_is_drained_before_anything_is_ended_and_data_stays(did: list[str]) -> None:
    result = down("--confirm", "acme")
    assert result.exit_code == 0
    assert did == ["looked for locks", "drained", "unlocked 1", "ended 1", "looked, data=False"]
    assert "keeps   1 Bucket" in result.stderr
    assert "acme-data" in result.stderr


@pytest.mark.usefixtures("stack")
def test_with_its_data_a_stack_is_let_go_of_before_it_is_ended(did: list[str]) -> None:
    assert down("--delete-data", "--confirm", "acme").exit_code == 0
    assert did == ["looked for locks", "drained", "unlocked 1", "let go of 2", "ended 2", "looked, data=True"]


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("argv", [[], ["--yes"], ["--yes", "--delete-data"], ["--confirm", "another"]])
def test_what_is_protected_goes_only_by_the_platforms_name(did: list[str], argv: list[str]) -> None:
    assert down(*argv).exit_code == 2
    assert did == ["looked for locks"]


def test_what_is_not_protected_goes_by_yes(stack: Held, did: list[str]) -> None:
    stack.kept = stack.locked = {}
    assert down().exit_code == 2
    assert down("--yes").exit_code == 0
    assert "ended 2" in did
    assert down("--yes", "--delete-data").exit_code == 2


@pytest.mark.usefixtures("stack")
def test_a_cluster_that_does_not_answer_stops_it_unless_it_is_passed_over(
    did: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> None:
        raise UnreachableError("no answer", hint="`--skip-drain`")

    monkeypatch.setattr(drain, "drain", silent)
    assert down("--confirm", "acme").exit_code == 1
    assert did == ["looked for locks"]
    assert down("--confirm", "acme", "--skip-drain").exit_code == 0
    assert did[-2:] == ["ended 1", "looked, data=False"]


@pytest.mark.usefixtures("stack")
def test_something_that_is_left_over_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [leftovers.Found("ec2:volume", "arn", "vol-1", fate="sweep")]
    monkeypatch.setattr(leftovers, "find", lambda *_, **__: left)
    result = down("--confirm", "acme")
    assert result.exit_code == 1
    assert "vol-1" in result.stderr
    kept = [leftovers.Found("s3:bucket", "arn", "acme-data", fate="kept")]
    monkeypatch.setattr(leftovers, "find", lambda *_, **__: kept)
    assert down("--confirm", "acme").exit_code == 0


@pytest.mark.usefixtures("stack")
def test_that_nobody_could_look_for_leftovers_is_said_and_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise MlplatError("may not look")

    monkeypatch.setattr(leftovers, "find", denied)
    result = down("--confirm", "acme")
    assert result.exit_code == 1
    assert "may not look" in result.stderr


def test_a_stack_that_is_nowhere_or_ended_already_has_nothing_to_end(
    stack: Held, did: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "resources", lambda: Held.resources(stack)[:2])
    result = down()
    assert result.exit_code == 0
    assert "--delete-data" in result.stderr
    monkeypatch.setattr(stacks, "find", lambda *_: None)
    assert down().exit_code == 0
    assert did == ["looked for locks"]


def test_what_only_a_cloud_has_is_refused_elsewhere() -> None:
    for argv in (["--skip-drain"], ["--confirm", "mlplat"]):
        result = CliRunner().invoke(cli, ["down", *argv], standalone_mode=False)
        assert isinstance(result.exception, MlplatError)


def test_a_long_list_is_cut_and_counted() -> None:
    counted = {f"Kind{number}": 2 for number in range(clouds.LINES + 3)}
    assert clouds._listed(counted).endswith("2 Kind11 and 6 more")


SERVICE = Row("service", "tracking", True, "2/2")


@pytest.mark.parametrize(
    ("rows", "half", "code"),
    [
        ([SERVICE], False, 0),
        ([SERVICE], True, 1),
        ([replace(SERVICE, ready=False)], False, 1),
        ([Row("endpoint", "flights/late", False, "failed")], False, 0),
        # A cluster that only its own network reaches.
        (UnreachableError("no way there"), False, 0),
    ],
)
def test_an_accounts_status_has_rows_like_a_clusters_and_both_of_them(
    stack: Held, monkeypatch: pytest.MonkeyPatch, rows: list[Row] | UnreachableError, half: bool, code: int
) -> None:
    def asked(*_: Any) -> list[Row]:
        if isinstance(rows, UnreachableError):
            raise rows
        return rows

    monkeypatch.setattr(running, "rows", asked)
    monkeypatch.setattr(summary, "parts", lambda _: [summary.Part("network", 12, 3, int(half))])
    told = run("status", "--json")
    assert told.exit_code == code
    component, *others = json.loads(told.stdout)
    assert component.keys() >= asdict(SERVICE).keys()
    assert (component["group"], component["name"], component["ready"]) == ("component", "network", not half)
    assert others == ([] if isinstance(rows, UnreachableError) else [asdict(each) for each in rows])
    assert ("could not be asked" in told.stderr) == isinstance(rows, UnreachableError)
