"""What a platform team writes: the one object `mlplat:platform` in `stacks/Pulumi.<stack>.yaml`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, PositiveInt, StringConstraints, model_validator

from mlplat.errors import Problem, SpecError, UsageError
from mlplat.labels import LABEL, LABEL_RULE, is_label
from mlplat.spec.base import Spec, parse, read_text, read_yaml

KEY = "mlplat:platform"
VERSION = 1
LOCAL = "local"

Label = Annotated[str, StringConstraints(pattern=f"^{LABEL.pattern}$")]
Port = Annotated[int, Field(ge=1024, le=65535)]
Megabytes = Annotated[int, Field(ge=1, le=100_000)]


class TrackingSpec(Spec):
    """MLflow: runs, metrics, artifacts and the model registry."""

    port: Port = Field(5000, description="Port on 127.0.0.1 of MLflow's API and pages.")


class GatewaySpec(Spec):
    """Envoy: the one address under which every endpoint answers."""

    port: Port = Field(8080, description="Port on 127.0.0.1 for requests to endpoints.")
    admin_port: Port = Field(9901, description="Port on 127.0.0.1 of Envoy's own statistics.")
    threads: PositiveInt = Field(
        1, description="Threads that Envoy works with; one carries about 20,000 requests a second."
    )


class ControllerSpec(Spec):
    """The controller: it makes what runs agree with the endpoint documents."""

    port: Port = Field(9400, description="Port on 127.0.0.1 of its health and metrics.")
    interval_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        1.0, description="Longest time between two looks at every endpoint, in seconds."
    )


class PredictionLogSpec(Spec):
    """What model servers write down of what they answered, as Parquet parts."""

    enabled: bool = Field(True, description="Whether rows and predictions are kept at all.")
    rows_per_part: PositiveInt = Field(5000, description="Rows after which a part is written.")
    seconds_per_part: Annotated[float, Field(gt=0)] = Field(
        10.0, description="Longest time before a part that has rows is written, in seconds."
    )
    keep_megabytes: Megabytes = Field(
        512, description="Size of one revision's log from which its oldest parts are removed."
    )


class ServingSpec(Spec):
    """Model servers."""

    first_port: Port = Field(
        18100, description="Port on 127.0.0.1 of the first revision; each further one takes the next free port."
    )
    prediction_log: PredictionLogSpec = Field(PredictionLogSpec(), description="What is kept of the answers.")


class LogSpec(Spec):
    """Logs of services and model servers."""

    megabytes: Megabytes = Field(10, description="Size at which a log is put aside and a new one begun.")
    backups: Annotated[int, Field(ge=0, le=100)] = Field(3, description="How many logs put aside are kept.")


class PlatformSpec(Spec):
    """A platform: where it stands and how its services are set."""

    version: Literal[1] = Field(1, description="Version of this document's form.")
    name: Label = Field("mlplat", description=f"Name that projects know the platform by: {LABEL_RULE}.")
    target: Literal["local"] = Field("local", description="Where it stands: `local` is processes on this computer.")
    clock: AwareDatetime | None = Field(
        None,
        description="Time, with a zone, that the platform's clock reads at its first `up`; unset, the computer's own.",
    )
    tracking: TrackingSpec = Field(TrackingSpec(), description="MLflow.")
    gateway: GatewaySpec = Field(GatewaySpec(), description="Envoy.")
    controller: ControllerSpec = Field(ControllerSpec(), description="The controller of endpoints and rollouts.")
    serving: ServingSpec = Field(ServingSpec(), description="Model servers.")
    logs: LogSpec = Field(LogSpec(), description="Logs of services and model servers.")

    def ports(self) -> dict[str, int]:
        """Return every fixed port by the key that sets it."""
        return {
            "tracking.port": self.tracking.port,
            "gateway.port": self.gateway.port,
            "gateway.admin_port": self.gateway.admin_port,
            "controller.port": self.controller.port,
            "serving.first_port": self.serving.first_port,
        }

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        taken = Counter(self.ports().values())
        if twice := [key for key, port in self.ports().items() if taken[port] > 1]:
            raise ValueError(f"{' and '.join(f'`{key}`' for key in twice)} are the same port")
        return self


def stack_file(stack: str, start: Path) -> Path | None:
    """Find `stacks/Pulumi.<stack>.yaml` in a folder or the nearest one above it."""
    if not is_label(stack):
        raise UsageError(f"`{stack}` cannot be the name of a stack", hint=f"use {LABEL_RULE}")
    name = Path("stacks") / f"Pulumi.{stack}.yaml"
    return next((found for folder in [start, *start.parents] if (found := folder / name).is_file()), None)


def read_stack(stack: str, start: Path) -> tuple[PlatformSpec, Path | None]:
    """Read a stack's platform; where there is no file, `local` is all defaults.

    Raises `UsageError` when another stack has no file, `SpecError` with every problem of one that does not hold.
    """
    path = stack_file(stack, start)
    if path is None and stack != LOCAL:
        raise UsageError(
            f"there is no stacks/Pulumi.{stack}.yaml in {start} or above it",
            hint="go to the platform's repository, or name another stack with `-s`",
        )
    return (read_platform(path) if path else PlatformSpec()), path


def read_platform(path: Path) -> PlatformSpec:
    """Read the object `mlplat:platform` of a stack file. Raises `SpecError` with every problem."""
    source = _shown(path)
    document = read_yaml(read_text(path), source)
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict) or KEY not in config:
        hint = f"begin with\nconfig:\n  {KEY}:\n    version: {VERSION}"
        raise SpecError(source, [Problem(f"config.{KEY}", "is required", hint)])
    _refuse_newer(config[KEY], source)
    _refuse_secrets(config[KEY], source)
    return parse(PlatformSpec, config[KEY], source, prefix=("config", KEY), document=document)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _refuse_newer(data: Any, source: str) -> None:
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:
        problem = Problem("version", f"is {version}, and this mlplat knows {VERSION}", "use a newer mlplat")
        raise SpecError(source, [problem])


def _refuse_secrets(data: Any, source: str) -> None:
    # Pulumi decrypts a secret inside an object before the program sees it, and then keeps the object as plain text.
    if found := [path for path, key in _keys(data) if key == "secure"]:
        hint = "keep the secret elsewhere and write a reference to it"
        raise SpecError(
            source, [Problem(path, "holds a secret, which would land in the state", hint) for path in found]
        )


def _keys(data: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(data, dict):
        items = [(f"{path}.{key}".lstrip("."), str(key), value) for key, value in data.items()]
        return [*((path or key, key) for _, key, _ in items), *(f for at, _, value in items for f in _keys(value, at))]
    if isinstance(data, list):
        return [found for index, value in enumerate(data) for found in _keys(value, f"{path}.{index}")]
    return []
