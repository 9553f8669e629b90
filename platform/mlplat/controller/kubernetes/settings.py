"""What the controller on a cluster is told by `mlplat up`, in one JSON file that it rereads when it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlplat.clock import Clock
from mlplat.controller.settings import read_as


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pool(_Document):
    """Nodes that model servers may be put on."""

    node_selector: dict[str, str] = {}
    """Labels of its nodes."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """What keeps others off them."""
    gpu_resource: str = "nvidia.com/gpu"
    """What a pod asks for to get GPUs there: those that several share have another name."""


class Objects(_Document):
    """Where bundles are published, for model servers to fetch them."""

    bucket: str
    """The bucket of artifacts."""
    region: str = "us-east-1"
    endpoint: str | None = None
    """Address of the object store; None for AWS's own of the region."""
    secret: str | None = None
    """Secret with `access_key` and `secret_key` in each team's namespace; None where pods have identities."""


class Log(_Document):
    """What model servers write down of what they answer, and how long the bucket keeps it."""

    bucket: str
    """The bucket of data: below `<team>/predictions/<endpoint>/<revision>`."""
    rows: int = 5000
    """Rows after which a part is written."""
    seconds: float = 60.0
    """Longest time before a part that has rows is written."""
    keep_bytes: int = 512_000_000
    """Size of one revision's log above which its oldest parts go."""
    keep_seconds: float | None = None
    """Age above which a part goes; None keeps it for as long as there is room."""


class Settings(_Document):
    """Where the platform's parts are, and the limits they work within. A change of `port` needs a restart."""

    tracking: str
    """MLflow's URL."""
    namespaces: dict[str, str]
    """Namespace of each project: its team's. Others' endpoints are not looked at."""
    image: str
    """Image of model servers, by its digest."""
    objects: Objects
    log: Log | None = None
    """The prediction log; None where none is kept."""
    port: int
    """Port of the controller's own `/health` and `/metrics`."""
    interval: float = 5.0
    """Seconds between two looks at everything when nothing happens."""
    clock: str | None = None
    """A set clock (`mlplat.clock`), or None for the computer's own."""
    features: str | None = None
    """The feature server's URL, below which each project has Feast's name of it; None where there is none."""
    production: bool = True
    """Whether endpoints that say nothing else have two model servers, and images need a digest."""
    pools: dict[str, Pool] = {}
    """Pools that endpoints may name."""
    pull_secret: str | None = None
    """Secret by which nodes read the image, in each team's namespace."""
    hostname: str | None = None
    """Name that the gateway answers to; None for any."""
    requests_per_second: int | None = None
    """Requests a second to one endpoint above which callers are told to come again; None for any."""
    parallel_requests: int = 1024
    """Requests to one revision under way at a time."""
    prometheus: str | None = None
    """URL of a Prometheus by whose figures KEDA scales; None to scale by processor, by Kubernetes itself."""
    start_seconds: float = 900.0
    """From the start of a revision until it has failed: a node may have to be bought, and images fetched."""
    serving_port: int = 8080
    """Port of model servers."""
    proxies_port: int = 19001
    """Port on which the gateway's proxies tell what they counted."""

    def now_by(self) -> Clock:
        """Return the clock that the platform goes by."""
        return Clock.of(self.clock)


def read(path: Path) -> Settings:
    """Read the settings. Raises `StateError` naming the file when they are missing or do not hold."""
    return read_as(Settings, path)
