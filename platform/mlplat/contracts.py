"""What a target promises to everything above it: one page of frozen, JSON-serialisable values.

A foundation is what lies below the services; a platform is its services' addresses; a connection is the part of that
which a project needs, written where projects look and free of credentials.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import mlplat
from mlplat.errors import MlplatError
from mlplat.files import config_dir, write_if_changed


@dataclass(frozen=True)
class Foundation:
    """What `provision` made or adopted: where things can be kept."""

    state: str
    """Folder of the platform's state."""
    artifacts: str
    """Where MLflow keeps artifacts: an absolute folder, or an `s3://` address."""
    database: str
    """SQLAlchemy address of MLflow's database."""
    clock: str | None = None
    """A set clock (`mlplat.clock`), or None for the computer's own."""


@dataclass(frozen=True)
class ClusterFoundation:
    """What lies below the services on a cluster, as `provision` of a cloud's target made it.

    Inside a program a leaf may be an output that nobody has read yet; it becomes JSON when a stack exports it, and
    another stack, which stands on it, reads it back.
    """

    account: Any
    region: Any
    cluster: Any
    """Name of the cluster."""
    cluster_endpoint: Any
    cluster_authority: Any
    """Its certificate authority, base64."""
    cluster_admin: Any
    """Role by which the cluster is entered; None where whoever runs `up` enters as itself."""
    disk_key: Any
    """Key of its nodes' and pods' disks."""
    vpc: Any
    node_role: Any
    """Name of the role of nodes that pools make."""
    queue: Any
    """Name of the queue on which the cloud tells that a node will be taken away."""
    registry: Any
    """Host and account of the container images."""
    buckets: Any
    """Name by purpose: `data`, `artifacts`, `features`, `pipelines`, `logs`."""
    database: Any
    """`endpoint`, `port`, `master_secret`, and `applications`: the secret of each, with its own user and password."""
    online_store: Any
    """`kind`, and what it is reached by."""
    identities: Any
    """Role by workload."""
    secrets: Any
    """What the names of the platform's secrets begin with."""
    alerts: Any
    """Topic by which people are told."""
    stream: Any = None
    """Name of the stream of events; None where there is none."""
    domain: Any = None
    """`name`, `zone`, `certificate`, and `name_servers`, which the zone above it has to name where nobody has yet.

    None where the platform has no name.
    """


@dataclass(frozen=True)
class Platform:
    """What `install` put on a foundation: the address of each service."""

    name: str
    stack: str
    target: str
    endpoints: dict[str, str] = field(default_factory=dict)
    """URL by service."""


PREDICTIONS = "predictions"
"""Part of a team's data, or of a platform's state, with its prediction logs: a folder an endpoint, by id."""
PROJECTS = "projects"
"""Part of a team's data with what its projects keep of theirs: snapshots, quarantine, erasures; a folder a project."""


def prediction_log(state: Path, endpoint: str) -> Path:
    """Return where the prediction log of an endpoint (by id) lies on one computer: a folder a revision below it."""
    return state / PREDICTIONS / endpoint


REASON, COMMIT = "MLPLAT_REASON", "MLPLAT_COMMIT"
"""Variables of a run that nobody watches: why it was begun, and of which commit it is; its folder is no repository."""
FEATURES = "MLPLAT_FEATURES"
"""Variable of a run that holds the feature server's URL; empty, or not there, where the platform has none."""
LATER = ("namespaces", "features")
"""Leaves of a connection that older versions of mlplat do not know."""


@dataclass(frozen=True)
class Connection:
    """How a project reaches a platform. Holds no credentials."""

    platform: str
    stack: str
    target: str
    tracking: str
    """MLflow's URL."""
    gateway: str
    """URL under which endpoints answer: `<gateway>/endpoints/<project>/<name>/predict`."""
    store: str
    """Where endpoint documents are kept: `sqlite:///<absolute path>`, or `kubernetes:<context>` of a kubeconfig."""
    clock: str | None = None
    mlplat: str = mlplat.__version__
    """Version of mlplat that wrote it."""
    version: int = 1
    namespaces: dict[str, str] = field(default_factory=dict)
    """On a cluster, the namespace of each project, which is its team's."""
    features: str | None = None
    """The feature server's URL, below which each project has Feast's name of it; None where there is none."""

    @staticmethod
    def path(platform: str, stack: str) -> Path:
        """Return where the connection to a platform's stack is written."""
        return config_dir() / "connections" / f"{platform}.{stack}.json"

    def is_written(self) -> bool:
        """Tell whether projects find exactly this connection."""
        path = self.path(self.platform, self.stack)
        return path.is_file() and path.read_bytes() == self._text().encode()

    def predictions(self, endpoint: str) -> Path | None:
        """Return where an endpoint's (by id) prediction log lies; None on a cluster, where it is in a bucket.

        Which one is said to whatever runs there (`mlplat.manifests.flows`), and needs the object store's own keys.
        """
        state = self.store.removeprefix("sqlite:///")
        return None if state == self.store else prediction_log(Path(state).parent, endpoint)

    def document(self) -> dict[str, Any]:
        """Return it as it is written. One without what came later is as every version of mlplat reads it."""
        return {name: value for name, value in asdict(self).items() if name not in LATER or value}

    def _text(self) -> str:
        return json.dumps(self.document(), indent=2) + "\n"

    def write(self) -> bool:
        """Write it for projects to find; tell whether it changed."""
        return write_if_changed(self.path(self.platform, self.stack), self._text())

    @classmethod
    def of_run(cls, platform: str) -> Connection:
        """Find the stack that a project's code runs on; `platform` is the project's, where no run says another.

        Raises as `read` does.
        """
        return cls.read(os.environ.get("MLPLAT_PLATFORM", platform), os.environ.get("MLPLAT_STACK", "local"))

    @classmethod
    def read(cls, platform: str, stack: str) -> Connection:
        """Find a platform's stack. Raises `MlplatError` when there is none, or a newer one."""
        path = cls.path(platform, stack)
        try:
            document: dict[str, Any] = dict(json.loads(path.read_bytes()))
        except FileNotFoundError as error:
            raise MlplatError(
                f"no platform `{platform}` with a stack `{stack}` is known on this computer",
                hint=f"stand it up with `mlplat up -s {stack}`, or name another (`platform` in mlplat.yaml, `-s`)",
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise MlplatError(
                f"{path}: is no connection document", hint=f"`mlplat up -s {stack}` writes it again"
            ) from error
        if document.get("version") != 1:
            writer = document.get("mlplat")
            raise MlplatError(f"{path}: was written by mlplat {writer}", hint="use that version here")
        try:
            return cls(**document)
        except TypeError as error:
            raise MlplatError(f"{path}: {error}", hint=f"`mlplat up -s {stack}` writes it again") from error
