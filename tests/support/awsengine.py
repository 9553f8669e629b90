"""A real Pulumi engine on an AWS account that is moto's, with the providers of `fakecloud`."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import engine
from commands import ROOT, TRACEBACK, Done, Mlplat, merged, run
from fakecloud.world import BEGINS, FOLDER, Call, World
from mlplat import deployment
from mlplat.spec.base import read_yaml
from mlplat.spec.platform import KEY

FAKES = ROOT / "tests" / "engine" / "aws" / "providers"
PROGRAMS = ROOT / "tests" / "engine" / "aws" / "programs"
ACCOUNT, OTHERS = "111122223333", "444455556666"
REGION = "eu-west-1"
DEPLOYMENT = "0123456789abcdef"
MOTO = {
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",  # 1,301 images, and two seconds
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
}
NOT_OURS = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")
"""What plain `pulumi` is told, and `mlplat` finds out."""
UNSET = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL")


@dataclass(frozen=True)
class Emulation:
    """A moto server that holds any number of accounts."""

    address: str

    def credentials(self, account: str) -> dict[str, str]:
        """Return the variables by which a process is somebody in an account."""
        token = (
            _session(self.address)
            .client("sts")
            .assume_role(RoleArn=f"arn:aws:iam::{account}:role/tests", RoleSessionName="tests")["Credentials"]
        )
        return {
            "AWS_ACCESS_KEY_ID": token["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": token["SecretAccessKey"],
            "AWS_SESSION_TOKEN": token["SessionToken"],
            "AWS_ENDPOINT_URL": self.address,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, account: str = ACCOUNT, region: str = REGION) -> Any:
        """Return a client of one account's service, by which a test looks, or meddles."""
        told = _credentials(self, account)
        return _session(self.address, told).client(service, region_name=region)


@functools.cache
def _credentials(emulation: Emulation, account: str) -> tuple[str, str, str]:
    told = emulation.credentials(account)
    return told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"], told["AWS_SESSION_TOKEN"]


@dataclass(frozen=True)
class _Session:
    address: str
    told: tuple[str, str, str | None]

    def client(self, service: str, region_name: str = REGION) -> Any:
        import boto3

        key, secret, token = self.told
        return boto3.client(
            service,
            region_name=region_name,
            endpoint_url=self.address,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )


def _session(address: str, told: tuple[str, str, str | None] = ("tests", "tests", None)) -> _Session:
    return _Session(address, told)


@contextmanager
def emulation() -> Iterator[Emulation]:
    """Run a moto server on loopback for as long as the context lasts."""
    os.environ.update(MOTO)
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # otherwise a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _serialise(server._server)
    host, port = server.get_host_and_port()
    try:
        yield Emulation(f"http://{host}:{port}")
    finally:
        server.stop()


def _serialise(server: Any) -> None:
    """Let a moto server answer one request at a time: its tables are no thread's own, and two at once can be a 500."""
    answer, lock = server.app, threading.Lock()

    def one_by_one(environ: Any, start_response: Any) -> Any:
        with lock:
            return answer(environ, start_response)

    server.app = one_by_one


def spec(**settings: Any) -> dict[str, Any]:
    """Return a platform as a stack file writes it: cheap and protected, but for what a test sets."""
    base = {
        "version": 2,
        "name": "tests",
        "target": "aws",
        "engine": {},
        "aws": {"account": ACCOUNT, "region": REGION, "environment": "dev", "network": {"zones": ["a", "b"]}},
    }
    return merged(base, settings)


@dataclass
class Repository:
    """A platform's repository with a stack `dev`, its engine, and the world that the engine's providers make."""

    folder: Path
    emulation: Emulation
    program: str | None = None
    """One of the programs beside the tests; None for the platform's own."""
    stack: str = "dev"
    account: str = ACCOUNT
    identity: str | None = DEPLOYMENT
    """Id of its deployment; None where `mlplat up` is to choose one."""
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shutil.copy(ROOT / "Pulumi.yaml", self.folder)
        (self.folder / "platform").mkdir()
        source = PROGRAMS / f"{self.program}.py" if self.program else ROOT / "platform" / "__main__.py"
        shutil.copy(source, self.folder / "platform" / "__main__.py")
        (self.folder / "stacks").mkdir()
        self.pulumi = engine.Pulumi(self.folder, self.folder / "home")
        for name in UNSET:
            self.pulumi.env.pop(name, None)
        self.pulumi.env |= {
            "PATH": os.pathsep.join([str(FAKES), self.pulumi.env["PATH"]]),
            FOLDER: str(self.folder / "world"),
            **self.emulation.credentials(self.account),
            **self.env,
        }
        self.world = World(self.folder / "world")

    @property
    def backend(self) -> str:
        """Return the address where its state is kept."""
        return self.pulumi.env["PULUMI_BACKEND_URL"]

    @property
    def file(self) -> Path:
        """Return its stack file."""
        return self.folder / "stacks" / f"Pulumi.{self.stack}.yaml"

    def write(self, written: dict[str, Any], **config: Any) -> None:
        """Write the stack file anew, all but what the engine put there: its salt, and secrets of the tests' own."""
        before = read_yaml(self.file.read_text(), str(self.file)) if self.file.exists() else {}
        kept = {name: value for name, value in before.get("config", {}).items() if isinstance(value, dict)}
        secret = {name: dict(value) for name, value in kept.items() if "secure" in value}
        told = {KEY: written, "pulumi:disable-default-providers": ["*"], **self._identity(), **secret, **config}
        salt = {name: value for name, value in before.items() if name == "encryptionsalt"}
        self.file.write_text(json.dumps({**salt, "config": told}))  # JSON is YAML

    def _identity(self) -> dict[str, str]:
        return {deployment.KEY: self.identity} if self.identity else {}

    def init(self) -> None:
        """Make the stack on its backend."""
        self.pulumi.run("stack", "init", self.stack)

    def up(self, *argv: str, code: int | None = 0) -> Done:
        """Do what the program says, without asking and without a preview before."""
        return self.pulumi.run("up", "--yes", "--skip-preview", "-s", self.stack, *argv, code=code)

    def destroy(self, *argv: str, code: int | None = 0) -> Done:
        """End the stack."""
        return self.pulumi.run("destroy", "--yes", "--skip-preview", "-s", self.stack, *argv, code=code)

    def refresh(self, *argv: str, code: int | None = 0) -> Done:
        """Take what is really there into the state."""
        return self.pulumi.run("refresh", "--yes", "--skip-preview", "-s", self.stack, *argv, code=code)

    def preview(self, *argv: str, code: int | None = 0) -> dict[str, list[str]]:
        """Return what an `up` would do: by action, `<type>::<name>` of each resource."""
        done = self.pulumi.run("preview", "--json", "-s", self.stack, *argv, code=code)
        steps: dict[str, list[str]] = {}
        for step in json.loads(done.out)["steps"]:
            key = "::".join(step["urn"].rsplit("$", maxsplit=1)[-1].split("::")[-2:])
            steps.setdefault(step["op"], []).append(key)
        return steps

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return what the engine remembers, by `<type>::<name>`."""
        found = self.pulumi.resources(self.stack).values()
        return {f"{each['type']}::{each['urn'].rpartition('::')[2]}": each for each in found}

    def calls(self) -> dict[str, list[str]]:
        """Return what the providers were asked to do since the last look: by action, `<type>::<name>` in order.

        What they could not do counts as well.
        """
        found: dict[str, list[str]] = {}
        for each in self.ordered():
            if each.phase == BEGINS:
                found.setdefault(each.action, []).append(each.key)
        return found

    def ordered(self) -> list[Call]:
        """Return every call since the last look, when it began and when it ended."""
        found = self.world.calls()
        self.world.forget_calls()
        return found


class Platform:
    """The whole platform of this repository's stack `dev`, as `mlplat` brings it up: state in a folder of its own."""

    def __init__(self, folder: Path, emulation: Emulation) -> None:
        self.repository = Repository(folder, emulation, identity=None)
        # Somebody else keeps those whose definitions come as files, which nobody here fetches.
        addons = {"gateway": "adopt", "queues": "adopt"}
        self.written: dict[str, Any] = {**merged(_own("dev"), {"kubernetes": {"addons": addons}}), "engine": {}}
        self.write()
        told = {name: value for name, value in self.repository.pulumi.env.items() if name not in NOT_OURS}
        self.mlplat = Mlplat(
            folder, env={name: value for name, value in told.items() if not name.startswith("MLPLAT_")}
        )
        for name in UNSET:
            if name not in told:
                self.mlplat.env.pop(name, None)

    def write(self, **settings: Any) -> None:
        """Write the stack file, with some settings other than this repository's own."""
        kept = self.identity()
        self.repository.write({**self.written, **settings}, **({deployment.KEY: kept} if kept else {}))

    def identity(self) -> str:
        """Return the deployment's id; empty before the first `up`."""
        file = self.repository.file
        return (deployment.read(file) if file.exists() else None) or ""

    def run(self, *argv: str, code: int | None = 0, env: dict[str, str] | None = None) -> Done:
        """Run the command line, as somebody else if `env` says so."""
        done = run([*self.mlplat.command, *argv], self.repository.folder, {**self.mlplat.env, **(env or {})}, 300, code)
        assert TRACEBACK not in done.err, done.err
        return done


def _own(stack: str) -> dict[str, Any]:
    path = ROOT / "stacks" / f"Pulumi.{stack}.yaml"
    written: dict[str, Any] = read_yaml(path.read_text(), str(path))["config"][KEY]
    return dict(json.loads(json.dumps(written)))
