"""A service of the platform as a value: what runs, written once for every target.

What only a target knows is symbolic, so services can be compared, printed and diffed before anything exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ref:
    """A value that the target knows.

    `state`, `artifacts`, `database`, `clock` and `store` are leaves of the foundation; `files` and `data` are the
    service's own folders (what it is given, what it keeps); `code` holds mlplat's package; `python:<image>` is the
    interpreter of another image; `host` is the one address that the service listens on; `url:<service>` is where
    another service answers, and `names:<service>` are the names, with and without port, by which it may be asked.
    `bucket:<purpose>` is the name of a bucket, `objects` the address of the store that has it, `region` its region.
    `image:<name>` is the full reference of another image.
    """

    name: str


INTERPRETER = "python:"
"""Begins the reference to another image's interpreter."""
URL = "url:"
"""Begins the reference to another service's address."""


@dataclass(frozen=True)
class SecretRef:
    """A value that is secret: the key of a secret that the target keeps. It is never written down anywhere else."""

    secret: str
    key: str


Text = str | Ref | tuple[str | Ref, ...]
"""A text, a reference, or several of them written together."""


WHOLE_GPU = "nvidia.com/gpu"
"""What whole GPUs are asked for as."""


@dataclass(frozen=True)
class Resources:
    """What a container is given; on this computer services share what there is."""

    cpu: float = 0.1
    """Processors that are kept for it."""
    memory_mib: int = 256
    """Memory that is kept for it, in MiB."""
    memory_limit_mib: int = 512
    """Memory above which it is ended. Processors have no limit: one that is idle may as well be used."""
    gpu: int = 0
    gpu_resource: str = WHOLE_GPU
    """What GPUs are asked for as: those that several share have another name."""


def too_many(gpu: int, gpu_resource: str) -> str | None:
    """Return why no node would give a pod so many GPUs; None where one may.

    Two shares may be of one and the same GPU, so the device plugin (`failRequestsGreaterThanOne`) hands out one, and a
    pod that asks for more is put on a node, refused there, and made again for ever.
    """
    if gpu <= 1 or gpu_resource == WHOLE_GPU:
        return None
    return f"asks for {gpu} GPUs where each is shared, and a pod gets one share"


@dataclass(frozen=True)
class Job:
    """What has to have ended well before each new version of a service starts, such as a migration."""

    name: str
    argv: tuple[Text, ...]
    env: Mapping[str, Text | SecretRef] = field(default_factory=dict)
    image: str | None = None
    """Image it runs in; unset, the service's."""
    identity: str | None = None
    """Service account that it runs as; unset, the service's."""
    timeout: int = 900
    """Seconds after which it has failed."""
    user: int | None = None
    """Number of the user that it runs as where there is no person; unset, the service's."""
    rights: tuple[Mapping[str, Any], ...] = ()
    """Rules of Kubernetes' own kind that it may act by in its namespace, signed in as its identity."""
    reaches: tuple[str, ...] = ()
    """What it speaks to beside what the service does."""
    resources: Resources = Resources(cpu=0.1, memory_mib=256, memory_limit_mib=1024)


@dataclass(frozen=True)
class Volume:
    """A folder that a service keeps over its restarts."""

    path: str
    gib: int


@dataclass(frozen=True)
class Http:
    """Ready when `path` on port `port` answers with a status below 400."""

    path: str
    port: str = "http"
    timeout: float = 60.0
    """Seconds from the start until a service that is not ready has failed."""


@dataclass(frozen=True)
class Open(Http):
    """Ready when port `port` takes connections: for what speaks no HTTP. Only a cluster asks so."""

    path: str = ""


@dataclass(frozen=True)
class Service:
    """One program of the platform."""

    name: str
    image: str
    """Environment or container image it runs in; the target says where that is."""
    argv: tuple[Text, ...]
    """Program and arguments; empty, what its image starts with."""
    ready: Http
    """When it is ready, and by whether it goes on answering, alive."""
    env: Mapping[str, Text | SecretRef] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)
    """JSON by file name, references at its leaves: a change of one restarts the service."""
    live: Mapping[str, Any] = field(default_factory=dict)
    """Likewise, reread by the running service: a change of one is an update without a restart."""
    seeds: Mapping[str, Any] = field(default_factory=dict)
    """JSON by file name in the service's data folder, written only where there is none: others change it later."""
    pages: str | None = None
    """Path of what a person opens in a browser, on port `http`."""
    code: bool = False
    """Whether it runs mlplat's own code."""
    needs: tuple[str, ...] = ()
    """Services that it speaks to: made before it, ended after it."""
    resources: Resources = Resources()
    replicas: int = 1
    identity: str | None = None
    """Service account that it runs as; unset, one of its own name."""
    setup: tuple[Job, ...] = ()
    volumes: tuple[Volume, ...] = ()
    scratch: tuple[str, ...] = ("/tmp",)  # noqa: S108 - in a container, where the root is read-only
    """Folders that it may write to and that are empty whenever it starts."""
    metrics: str | None = None
    """Path of its metrics on port `http`; unset, it has none."""
    stop_seconds: int = 30
    """Time from the request to end until it is ended."""
    alive: Http | None = None
    """What answers while the process is sound, whatever the state of what it depends on; unset, `ready`."""
    reaches: tuple[str, ...] = ()
    """What it speaks to beside other services: `database`, `objects`, `identity` (what gives a pod its role), `api` (of
    Kubernetes), `endpoints` (model servers), `proxies` (of the gateway)."""
    callers: tuple[str, ...] = ()
    """Who speaks to it beside the services that need it: `gateway`, `pipelines`, `serving`, `monitoring`."""
    token: bool = False
    """Whether it signs in to Kubernetes as its identity."""
    exclusive: bool = False
    """Whether the old version has to have ended before the new one starts."""
    user: int = 10001
    """Number of the user that it runs as where there is no person."""
    version: str | None = None
    """Version of the program that its image brings; a cluster's objects are labelled with it."""

    @property
    def images(self) -> tuple[str, ...]:
        """Return the environments it takes: its own, and those whose interpreters it is told of."""
        found = _refs([self.argv, self.files, self.live, self.seeds])
        told = {ref.name.removeprefix(INTERPRETER) for ref in found if ref.name.startswith(INTERPRETER)}
        return (self.image, *sorted(told - {self.image}))


def _refs(value: Any) -> list[Ref]:
    match value:
        case Ref():
            return [value]
        case Mapping():
            return [ref for item in value.values() for ref in _refs(item)]
        case list() | tuple():
            return [ref for item in value for ref in _refs(item)]
        case _:
            return []
