"""What a platform team writes: the one object `mlplat:platform` in `stacks/Pulumi.<stack>.yaml`."""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, PositiveInt, StringConstraints, model_validator

from mlplat.errors import Problem, SpecError, UsageError
from mlplat.labels import LABEL, LABEL_RULE, is_label
from mlplat.spec import rewrite, scalars
from mlplat.spec.alerts import AlertsSpec
from mlplat.spec.aws import AwsSpec
from mlplat.spec.base import Spec, parse, read_text, read_yaml
from mlplat.spec.capacity import CostSpec, PoolSpec, TeamSpec
from mlplat.spec.kubernetes import KubernetesSpec
from mlplat.spec.migrations import PLATFORM, newest, refuse_newer, upgraded, version_of
from mlplat.spec.rewrite import Rewrite

KEY = "mlplat:platform"
VERSION = newest(PLATFORM)
LOCAL = "local"

Label = Annotated[str, StringConstraints(pattern=f"^{LABEL.pattern}$")]
Port = Annotated[int, Field(ge=1024, le=65535)]
Megabytes = Annotated[int, Field(ge=1, le=100_000)]
Days = Annotated[int, Field(ge=1, le=36_500)]


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


class FeatureServerSpec(Spec):
    """The feature server: it keeps the values that projects push, and model servers look them up."""

    enabled: bool = Field(False, description="Whether there is one; without it, every request brings its values.")
    port: Port = Field(6566, description="Port on 127.0.0.1 of the feature server.")


class RetentionSpec(Spec):
    """When the oldest parts of a revision's prediction log are removed: at the limit that is reached first."""

    megabytes: Megabytes = Field(512, description="Size of one revision's log above which its oldest parts go.")
    # None unless written: an upgrade of mlplat must not delete answers that were kept before it.
    days: Days | None = Field(None, description="Age in days above which a part goes; unset, only the size counts.")


class PredictionLogSpec(Spec):
    """What model servers write down of what they answered, as Parquet parts."""

    enabled: bool = Field(True, description="Whether rows and predictions are kept at all.")
    rows_per_part: PositiveInt = Field(5000, description="Rows after which a part is written.")
    seconds_per_part: Annotated[float, Field(gt=0)] = Field(
        10.0, description="Longest time before a part that has rows is written, in seconds."
    )
    retention: RetentionSpec = Field(RetentionSpec(), description="How long they are kept.")


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


class EngineSpec(Spec):
    """Pulumi: a recorded state that a team shares. Without it `up` needs no engine."""

    backend: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+]*://\S+$")] | None = Field(
        None,
        description="Where the stack's state is kept, such as `file:///srv/state` or `s3://bucket`; unset, in a folder"
        " of mlplat's own.",
    )
    secrets: Annotated[str, StringConstraints(pattern=r"^[a-z]+://\S+$")] | None = Field(
        None,
        description="Key that encrypts secrets in the state, such as `awskms://alias/mlplat-state?region=eu-west-1`;"
        " unset, a passphrase.",
    )


class FoundationSpec(Spec):
    """An environment in two stacks: one makes what is below the services, the other puts the services on it."""

    stack: Label | None = Field(None, description="Stack whose foundation this one stands on; unset, it makes its own.")
    only: bool = Field(False, description="Whether this stack makes the foundation and nothing on it.")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.stack and self.only:
            raise ValueError("`stack` and `only` exclude each other")
        return self


class PlatformSpec(Spec):
    """A platform: where it stands and how its services are set."""

    version: Literal[2] = Field(2, description="Version of this document's form.")
    name: Label = Field("mlplat", description=f"Name that projects know the platform by: {LABEL_RULE}.")
    target: Literal["local", "kubernetes", "aws"] = Field(
        "local",
        description="Where it stands: `local` is processes on this computer, `kubernetes` a cluster that is there,"
        " `aws` one in an account.",
    )
    clock: AwareDatetime | None = Field(
        None,
        description="Time, with a zone, that the platform's clock reads at its first `up`; unset, the computer's own.",
    )
    ports: Literal["fixed", "auto"] = Field(
        "fixed",
        description="Who chooses a port that is not written here: `fixed` takes its default, `auto` the first free one"
        " from there, and keeps it.",
    )
    tracking: TrackingSpec = Field(TrackingSpec(), description="MLflow.")
    gateway: GatewaySpec = Field(GatewaySpec(), description="Envoy.")
    controller: ControllerSpec = Field(ControllerSpec(), description="The controller of endpoints and rollouts.")
    serving: ServingSpec = Field(ServingSpec(), description="Model servers.")
    features: FeatureServerSpec = Field(FeatureServerSpec(), description="The feature server.")
    alerts: AlertsSpec = Field(AlertsSpec(), description="Who is told of alerts, for the target `local`.")
    logs: LogSpec = Field(LogSpec(), description="Logs of services and model servers.")
    engine: EngineSpec | None = Field(
        None, description="Pulumi, which then does what `up` and `down` say; unset, they need no engine."
    )
    owner: Label | None = Field(None, description="Who answers for it: a tag on everything; unset, there is none.")
    aws: AwsSpec | None = Field(None, description="The account, for the target `aws`.")
    kubernetes: KubernetesSpec = Field(KubernetesSpec(), description="The cluster, for every target that has one.")
    foundation: FoundationSpec = Field(FoundationSpec(), description="One stack, or two.")
    pools: dict[Label, PoolSpec] = Field({}, description="Machines that workloads may ask for, by name.")
    teams: dict[Label, TeamSpec] = Field({}, description="Who works on it, by name.")
    cost: CostSpec = Field(CostSpec(), description="What it may cost.")

    def port_keys(self) -> dict[str, int]:
        """Return every port by the key that sets it."""
        return {
            "tracking.port": self.tracking.port,
            "gateway.port": self.gateway.port,
            "gateway.admin_port": self.gateway.admin_port,
            "controller.port": self.controller.port,
            "serving.first_port": self.serving.first_port,
            **({"features.port": self.features.port} if self.features.enabled else {}),
        }

    def chooses(self, key: str) -> bool:
        """Tell whether the target chooses the port of a key, such as `gateway.port`, because nobody wrote it."""
        group, _, name = key.partition(".")
        return self.ports == "auto" and name not in getattr(self, group).model_fields_set

    def with_ports(self, ports: Mapping[str, int]) -> Self:
        """Return the same platform with these ports written, by key."""
        groups = {key.partition(".")[0] for key in ports}
        written = {
            group: getattr(self, group).model_copy(
                update={key.partition(".")[2]: port for key, port in ports.items() if key.startswith(f"{group}.")}
            )
            for group in groups
        }
        return self.model_copy(update=written)

    @model_validator(mode="after")
    def _target_is_told(self) -> Self:
        if self.target == "aws" and self.aws is None:
            raise ValueError("`aws` is required for the target `aws`")
        if self.target != LOCAL and self.engine is None:
            raise ValueError(f"`engine` is required for the target `{self.target}`: `engine: {{}}` would do to try it")
        if self.target == "kubernetes" and self.kubernetes.context is None:
            raise ValueError("`kubernetes.context` is required for the target `kubernetes`")
        return self

    @model_validator(mode="after")
    def _people_are_told(self) -> Self:
        if self.target != LOCAL and self.alerts.webhook_file is not None:
            raise ValueError("`alerts.webhook_file` is for the target `local`: write `kubernetes.monitoring.receivers`")
        return self

    @model_validator(mode="after")
    def _pools_have_nodes(self) -> Self:
        needed = {"aws": "instance_types", "kubernetes": "node_selector"}.get(self.target)
        for name, pool in self.pools.items():
            if needed and not getattr(pool, needed):
                raise ValueError(f"`pools.{name}.{needed}` is required for the target `{self.target}`")
        return self

    @model_validator(mode="after")
    def _production_stands_on_something(self) -> Self:
        on = self.kubernetes
        if self.target == "kubernetes" and on.production and (on.databases is None or on.objects is None):
            raise ValueError(
                "`kubernetes.databases` and `kubernetes.objects` are required for production: those in the cluster are"
                " for development (`kubernetes.production: false`)"
            )
        return self

    @model_validator(mode="after")
    def _pages_share_the_port(self) -> Self:
        exposure = self.kubernetes.exposure
        if self.target == "aws" and exposure.pages and not exposure.tls_secret:
            raise ValueError(
                "`kubernetes.exposure.pages` needs `kubernetes.exposure.tls_secret` for the target `aws`: otherwise the"
                " load balancer ends TLS, and knows one certificate"
            )
        return self

    @model_validator(mode="after")
    def _teams_are_known(self) -> Self:
        for name, pool in self.pools.items():
            if unknown := sorted(set(pool.teams) - set(self.teams)):
                raise ValueError(f"`pools.{name}.teams` names `{unknown[0]}`, which is not among `teams`")
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        fixed = {key: port for key, port in self.port_keys().items() if not self.chooses(key)}
        taken = Counter(fixed.values())
        if twice := [key for key, port in fixed.items() if taken[port] > 1]:
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
    text = read_text(path)
    if found := scalars.disputed(text, ("config", KEY)):
        raise SpecError(source, found)
    document = read_yaml(text, source)
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict) or KEY not in config:
        hint = f"begin with\nconfig:\n  {KEY}:\n    version: {VERSION}"
        raise SpecError(source, [Problem(f"config.{KEY}", "is required", hint)])
    # Into the document, so that a moved key's problem is said with its line.
    config[KEY] = _newest(scalars.as_engine(config[KEY]), source)
    return parse(PlatformSpec, config[KEY], source, prefix=("config", KEY), document=document)


def newest_form(path: Path) -> Rewrite | None:
    """Return what would write a stack file in the newest form; None for one that has it. Raises `SpecError`."""
    return rewrite.newest_form(path, _shown(path), ("config", KEY), PLATFORM)


def parse_platform(data: Any, source: str) -> PlatformSpec:
    """Make a platform of the object `mlplat:platform` as the engine hands it over: JSON, already loaded.

    A newer document and one with a secret inside are refused, an older one is read as what it means in the newest form
    and a warning says so, once. Raises `SpecError` with every problem.
    """
    return parse(PlatformSpec, _newest(scalars.from_engine(data), source), source)


def _newest(data: Any, source: str) -> Any:
    refuse_newer(data, PLATFORM, source)
    _refuse_secrets(data, source)
    made = upgraded(data, PLATFORM)
    if made is not data:
        _warn_older(source, version_of(data, PLATFORM))
    return made


@functools.cache
def _warn_older(source: str, version: int) -> None:
    text = f"{source} is of version {version} and read as version {VERSION}; `mlplat up` shows the change and writes it"
    sys.stderr.write(f"warning: {text}\n")


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


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
