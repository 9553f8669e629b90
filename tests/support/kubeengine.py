"""A real Pulumi engine on a real Kubernetes API, by the tests' own provider `kubernetes`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import engine
import kubecrds
from commands import ROOT, TRACEBACK, Done, Mlplat, merged, run
from fakecloud.world import BEGINS, ENDS, FOLDER, Call, World
from kubeapi import CONTEXT, Api
from mlplat import images
from mlplat.cluster import Cluster
from mlplat.images import lock
from mlplat.spec.base import read_yaml
from mlplat.spec.platform import KEY, PlatformSpec, read_platform

PROVIDERS = ROOT / "tests" / "engine" / "kubernetes" / "providers"
PROGRAMS = ROOT / "tests" / "engine" / "kubernetes" / "programs"
STACK = "small"
SECONDS = 300
NOT_OURS = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")
"""What plain `pulumi` is told, and `mlplat` finds out."""
ADDONS = {
    "gateway": "gateway.networking.k8s.io",
    "secrets": "external-secrets.io",
    "autoscaling": "keda.sh",
    "pipelines": "argoproj.io",
    "queues": "kueue.x-k8s.io",
    "monitoring": "monitoring.coreos.com",
}
"""Group of definitions that each group of add-ons brings."""


def spec(api: Api, **settings: Any) -> dict[str, Any]:
    """Return a platform on a cluster as a stack file writes it: for development, without charts, but for `settings`."""
    base = {
        "version": 2,
        "name": "mlplat",
        "target": "kubernetes",
        "engine": {},
        "kubernetes": {
            "context": CONTEXT,
            "kubeconfig": str(api.kubeconfig),
            "production": False,
            "addons": {"cost": "off", **addons()},
            "images": {"registry": "registry.example.com/mlplat"},
            "exposure": {"service": "cluster-ip", "authentication": "none", "replicas": 1},
        },
        "teams": {"flights": {"projects": ["flights"], "cpu": 8, "memory_gib": 16}},
    }
    return merged(base, settings)


def addons() -> dict[str, str]:
    """Return every group of add-ons as somebody else's, but for those of which nobody has the definitions here."""
    unknown = kubecrds.unchecked()
    return {name: "off" if group in unknown else "adopt" for name, group in ADDONS.items()}


def locked(written: PlatformSpec, registry: str | None = None) -> lock.Lock:
    """Return a lock that has every image of a platform, with a digest that follows from its name."""
    registry = registry or written.kubernetes.images.registry
    return lock.Lock(
        images={
            name: lock.Locked(
                reference=f"{registry}/{name}@sha256:{hashlib.sha256(name.encode()).hexdigest()}",
                tag=images.tag(written, name),
            )
            for name in images.NAMES
        }
    )


@dataclass
class Repository:
    """A platform's repository with one stack, its engine, and the calls that the engine's provider got."""

    folder: Path
    api: Api
    program: str | None = None
    """One of the programs beside the tests; None for the platform's own."""
    env: dict[str, str] = field(default_factory=dict)
    seconds: float = SECONDS
    """Longest time that a command may take."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "Pulumi.yaml", self.folder)
        (self.folder / "platform").mkdir()
        source = PROGRAMS / f"{self.program}.py" if self.program else ROOT / "platform" / "__main__.py"
        shutil.copy(source, self.folder / "platform" / "__main__.py")
        (self.folder / "stacks").mkdir()
        self.pulumi = engine.Pulumi(self.folder, self.folder / "home")
        self.pulumi.env.pop("KUBECONFIG", None)
        self.pulumi.env |= {
            "PATH": os.pathsep.join([str(PROVIDERS), self.pulumi.env["PATH"]]),
            FOLDER: str(self.folder / "world"),
            **self.env,
        }
        self.world = World(self.folder / "world")
        self.mlplat = Mlplat(
            self.folder, env={name: value for name, value in self.pulumi.env.items() if name not in NOT_OURS}
        )

    @property
    def file(self) -> Path:
        """Return its stack file."""
        return self.folder / "stacks" / f"Pulumi.{STACK}.yaml"

    @property
    def state_file(self) -> Path:
        """Return where the engine remembers it."""
        return next(Path(self.mlplat.env["MLPLAT_STATE_DIR"]).rglob(f"stacks/*/{STACK}.json"))

    @property
    def cluster(self) -> Cluster:
        """Return the cluster, as its administrator."""
        return Cluster.of_context(CONTEXT, self.api.kubeconfig)

    def write(self, written: dict[str, Any], **config: Any) -> None:
        """Write the stack file anew, all but what the engine and `mlplat up` put there."""
        before = read_yaml(self.file.read_text(), str(self.file)) if self.file.exists() else {}
        kept = {name: value for name, value in before.get("config", {}).items() if name != KEY}
        told = {"pulumi:disable-default-providers": ["*"], **kept, KEY: written, **config}
        salt = {name: value for name, value in before.items() if name == "encryptionsalt"}
        self.file.write_text(json.dumps({**salt, "config": told}))  # JSON is YAML
        if written:
            lock.write(lock.lock_file(self.file), locked(read_platform(self.file)))

    def run(self, *argv: str, code: int | None = 0) -> Done:
        """Run the command line on the stack."""
        done = run([*self.mlplat.command, *argv, "-s", STACK], self.folder, self.mlplat.env, self.seconds, code)
        assert TRACEBACK not in done.err, done.err
        return done

    def plain(self, *argv: str, code: int | None = 0) -> Done:
        """Run the engine's own command on the stack that `mlplat up` has made."""
        told = {name: str(value) for name, value in json.loads(self.run("state", "env", "--json").out).items()}
        own = {name: value for name, value in self.pulumi.env.items() if name not in NOT_OURS}
        argv = ("pulumi", "--non-interactive", *argv, "-s", STACK)
        return run(argv, self.folder, {**own, **told}, self.seconds, code, engine.find())

    def changed(self) -> list[Call]:
        """Return what was made, changed and ended since this was asked last, in the order in which that was done."""
        calls = self.world.calls()
        self.world.forget_calls()
        begun = [each for each in calls if each.phase == BEGINS]
        ended = [each for each in calls if each.phase == ENDS]
        assert len(begun) == len(ended), "a call of the provider has failed"
        return ended
