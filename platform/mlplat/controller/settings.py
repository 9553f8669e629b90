"""What the controller is told by `mlplat up`, in one JSON file that it rereads when it changes."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mlplat.clock import Clock
from mlplat.errors import StateError


class Settings(BaseModel):
    """Where the platform's parts are, and the limits they work within. A change of `port` needs a restart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Path
    """The platform's state folder."""
    tracking: str
    """MLflow's URL."""
    gateway: str
    """URL under which endpoints answer."""
    gateway_admin: str
    """URL of Envoy's admin interface."""
    xds: Path
    """Folder that Envoy watches for `clusters.json` and `routes.json`."""
    store: str
    """Where endpoint documents are kept: `sqlite:///<absolute path>`."""
    python: Path
    """Interpreter of the serving environment."""
    code: Path
    """Folder that holds the `mlplat` package which model servers run."""
    first_port: int
    """Model servers get this port or the next free one above it."""
    port: int
    """Port of the controller's own `/health` and `/metrics`."""
    interval: float = 2.0
    """Seconds between two looks at everything when nothing happens."""
    clock: str | None = None
    """A set clock (`mlplat.clock`), or None for the computer's own."""
    webhook: Path | None = None
    """File with the address that alerts are posted to; None for the log alone."""
    features: str | None = None
    """The feature server's URL, below which each project has Feast's name of it; None where there is none."""
    log_enabled: bool = True
    """Whether model servers write down what they predict."""
    log_rows: int = 10_000
    """Predictions that a model server writes into one part of its log."""
    log_seconds: float = 60.0
    """Seconds after which a part is written even when it is not full."""
    log_keep_bytes: int = 500_000_000
    """Bytes of predictions kept a revision; older parts are removed."""
    log_keep_seconds: float | None = None
    """Seconds after which a part of predictions is removed; None for as long as its size allows."""
    service_log_bytes: int = 10_000_000
    """Bytes after which a model server's own log is rotated."""
    service_log_backups: int = 3
    """Rotated logs that are kept."""

    def now_by(self) -> Clock:
        """Return the clock that the platform goes by."""
        return Clock.of(self.clock)


M = TypeVar("M", bound=BaseModel)


def read(path: Path) -> Settings:
    """Read the settings. Raises `StateError` naming the file when they are missing or do not hold."""
    return read_as(Settings, path)


def read_as(model: type[M], path: Path) -> M:
    """Read a controller's settings of some form, likewise."""
    hint = "`mlplat up` writes it again"
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise StateError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}", hint=hint) from error
