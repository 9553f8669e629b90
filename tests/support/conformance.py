"""A platform that stands on any target, and what the tests of every target ask of one.

Each is as real as it can be here: processes on this computer; an engine and an API server; an engine, an emulated
account, and an API server in the place of the account's cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import conformanceaccount
import conformancecluster
import kubeengine
from awsengine import ACCOUNT, REGION, Emulation, Platform
from commands import Done, Mlplat
from conformancecluster import ABANDONED, PROXY, Played, named
from fakecloud.world import Call, World
from kubeapi import Api
from kubeengine import Repository
from mlplat.images import lock
from mlplat.manifests import names
from mlplat.spec.base import read_yaml
from mlplat.spec.platform import KEY, read_platform
from mlplat.targets.kubernetes import ends

PROJECT = "flights"
SERVICES = ("tracking", "controller")
"""Services of the platform's own that every target has."""
HURT = "controller"
CREDENTIALS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/mlplat"


@dataclass
class Standing:
    """A platform after its first `up`."""

    target: str
    stack: str
    name: str
    mlplat: Mlplat
    """Its command line, in its repository."""
    brought: Any
    """What the first `up` said, as JSON."""
    doings: Callable[[], object]
    """Returns what was done until now to what it stands on: nothing was done where it is the same again."""
    hurt: Callable[[], AbstractContextManager[str]]
    """Lets one of its services not be ready, and returns which."""
    secrets: Callable[[], Sequence[str]]
    """Returns what is secret here, and is known to whoever looks from outside."""
    left: Callable[[], list[str]]
    """Returns what is left of it; nothing once it was ended with its data."""
    agreed: tuple[str, ...]
    """What `down` is told so that nothing of it stays."""
    played: Played | None = None
    """What is played on its cluster; None on this computer."""
    repository: Repository | None = None
    """Of the target `kubernetes`."""
    account: Platform | None = None
    """Of the target `aws`, and what a preview showed before anything was there."""
    shown: Any = None
    did: Sequence[Call] = ()
    """Calls of the engine's providers by which the first `up` made it, in order."""
    world: World | None = None
    abandon: Callable[[], object] = lambda: None
    """Leaves on it what nobody ends but `down` itself, or takes away what no `down` can."""
    _again: tuple[Done, bool] | None = None
    _ended: tuple[Done, list[Call]] | None = None

    def run(self, *argv: str, code: int | None = 0, cwd: Path | None = None) -> Done:
        """Run the command line on the stack."""
        return self.mlplat.run(*argv, "-s", self.stack, code=code, cwd=cwd)

    @property
    def file(self) -> Path:
        """Return its stack file."""
        return self.mlplat.folder / "stacks" / f"Pulumi.{self.stack}.yaml"

    def controller(self, folder: Path) -> AbstractContextManager[None]:
        """Run the platform's controller while the block lasts, where nothing else does."""
        return conformancecluster.controller(self.played.api, folder) if self.played else contextlib.nullcontext()

    def answer(self) -> None:
        """Let everything be ready that is not by itself."""
        if self.played:
            self.played.answer()

    @contextmanager
    def setting(self, **settings: Any) -> Iterator[None]:
        """Have other settings in the stack file for as long as the block lasts."""
        before = self.file.read_text()
        written = read_yaml(before, str(self.file))
        written["config"][KEY] |= settings
        self.file.write_text(json.dumps(written))  # JSON is YAML
        try:
            yield
        finally:
            self.file.write_text(before)

    def again(self) -> tuple[Done, bool]:
        """Run a second `up`, once; return what was said, and whether anything was done."""
        if self._again is None:
            before = self.doings()
            self._again = self.run("up", "--json"), self.doings() != before
        return self._again

    def end(self) -> tuple[Done, list[Call]]:
        """End it with its data, once; return what was said, and the calls of the engine's providers in order."""
        if self._ended is None:
            if self.world:
                self.world.forget_calls()
            self.abandon()
            done = self.run("down", *self.agreed)
            self._ended = done, self.world.calls() if self.world else []
        return self._ended

    def kept(self) -> Iterator[tuple[Path, str]]:
        """Yield every file that `up` has written on this computer: state, backend, logs, connections, settings."""
        for name in ("MLPLAT_STATE_DIR", "MLPLAT_CONFIG_DIR", "PULUMI_BACKEND_URL"):
            folder = Path(self.mlplat.env.get(name, os.devnull).removeprefix("file://"))
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    yield path, path.read_text(errors="replace")


def on_this_computer(mlplat: Mlplat, brought: Any, secret: str) -> Standing:
    """Return the local target's, whose services are processes of this computer."""

    @contextmanager
    def hurt() -> Iterator[str]:
        pids = mlplat.pids()
        # Whoever would restart it is stopped first: a slow computer must not see it before and after alone.
        stopped = [pids["watchdog"], pids[HURT]]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield HURT
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)

    state = Path(mlplat.env["MLPLAT_STATE_DIR"]) / "tests" / "local"
    return Standing(
        "local", "local", "tests", mlplat, brought,
        doings=mlplat.pids,
        hurt=hurt,
        secrets=lambda: [secret],
        left=lambda: [str(path) for path in [state] if path.exists()],
        agreed=("--yes", "--delete-data"),
    )  # fmt: skip


@contextmanager
def cluster_stands(folder: Path, api: Api) -> Iterator[Standing]:
    """Bring up the target `kubernetes`'s: its objects are on a real API server, and nothing runs pods."""
    made = Repository(folder, api)
    made.write(kubeengine.spec(api))
    with api.cluster() as cluster:
        played = Played(cluster, api)
        cluster.apply(PROXY)
        brought = made.run("up", "--yes", "--json").json()
        yield Standing(
            "kubernetes", kubeengine.STACK, "mlplat", made.mlplat, brought,
            doings=lambda: calls(made.world),
            hurt=lambda: played.hurt(HURT),
            secrets=lambda: [api.token, *played.secrets()],
            left=lambda: ends.left(cluster, read_platform(made.file)),
            agreed=("--yes", "--delete-data", "--confirm", "mlplat", "--skip-drain"),
            abandon=lambda: cluster.apply(ABANDONED),
            played=played, repository=made, did=made.changed(), world=made.world,
        )  # fmt: skip


@contextmanager
def account_stands(folder: Path, emulation: Emulation) -> Iterator[Standing]:
    """Bring up the target `aws`'s: the account is moto's, and its cluster a real API server without nodes."""
    # They bring the engine's SDK, which tests of the local target do without.
    from mlplat.targets.aws.cluster import cluster_name
    from mlplat.targets.aws.site import Site

    made = Platform(folder, emulation)
    world, file = made.repository.world, made.repository.file
    # Its images are locked before the first `up`, and not for a second one.
    lock.write(lock.lock_file(file), kubeengine.locked(read_platform(file), REGISTRY))
    with conformanceaccount.cluster(folder / "account", emulation) as api, api.cluster() as cluster:
        played = Played(cluster, api)
        cluster.apply(named("v1", "Namespace", names.PROXIES))
        cluster.apply(PROXY)
        shown = made.run("up", "-s", "dev", "--preview", "--json").json()
        brought = made.run("up", "-s", "dev", "--yes", "--json").json()
        did = made.repository.ordered()
        name = cluster_name(Site.of(read_platform(file), "dev", made.identity()))
        conformanceaccount.known(name, emulation, api)
        refused = conformanceaccount.put(world, cluster)
        assert not refused, "\n".join(refused)
        played.charts()
        standing = Standing(
            "aws", "dev", "mlplat", made.mlplat, brought,
            doings=lambda: calls(world),
            hurt=lambda: played.hurt(HURT),
            secrets=lambda: [*(made.mlplat.env[name] for name in CREDENTIALS), api.token],
            left=lambda: [each["type"] for each in world.all()],
            # Nothing in it is protected, and nothing runs that would have to go first.
            agreed=("--yes", "--skip-drain"),
            abandon=lambda: conformanceaccount.forgotten(name, emulation),
            played=played, account=made, shown=shown, did=did, world=world,
        )  # fmt: skip
        # Only now is there a cluster to ask how projects reach it.
        standing.again()
        yield standing


def calls(world: World) -> list[str]:
    """Return every call of the engine's providers until now."""
    return [json.dumps(vars(each)) for each in world.calls()]
