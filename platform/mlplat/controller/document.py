"""An endpoint as a document: what is wished for, and what has become of it.

People write the wish (`EndpointSpec`, a new generation each time); only the controller writes the status. Times that
people read go by the platform's clock; durations go by one that nobody sets (`mlplat.controller.steady`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlplat.controller.window import Window
from mlplat.labels import Name
from mlplat.spec.privacy import LoggedColumns
from mlplat.spec.retraining import RetrainingPolicy
from mlplat.spec.rollout import RolloutPolicy
from mlplat.spec.scale import ScaleSpec

Action = Literal["deploy", "promote", "abort", "rollback", "delete"]
Phase = Literal[
    "resolving", "fetching", "starting", "testing", "rolling", "baking", "serving",
    "refused", "failed", "breached", "inconclusive", "aborted", "deleting",
]  # fmt: skip
State = Literal["fetching", "starting", "ready", "draining", "stopping", "stopped", "failed"]

PREPARING: tuple[Phase, ...] = ("resolving", "fetching", "starting", "testing")
"""Before the new version gets any traffic."""
MOVING: tuple[Phase, ...] = (*PREPARING, "rolling")
"""A wish is being carried out."""
FAILED: tuple[Phase, ...] = ("refused", "failed", "breached", "inconclusive", "aborted")
"""The wish was not fulfilled; whoever was champion before still is."""
PROCESS: tuple[State, ...] = ("starting", "ready", "draining", "stopping")
"""States in which a revision's process is kept alive."""
CLUSTER: tuple[State, ...] = ("ready", "draining")
"""States in which the gateway knows a revision."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Force(_Document):
    """A person's decision to serve a version that the gate did not let pass."""

    reason: str
    by: str


class EndpointSpec(_Document):
    """What somebody wishes an endpoint to serve."""

    name: str
    """`project/endpoint`."""
    action: Action = "deploy"
    model: str
    """`project/model`."""
    version: str
    """The model's version in the registry; the controller resolves it to a digest, which stands in the revision."""
    policy: RolloutPolicy = RolloutPolicy()
    log: LoggedColumns = LoggedColumns()
    """What the prediction log keeps of the columns."""
    scale: ScaleSpec = ScaleSpec()
    """How many model servers there are, and what each is given; on this computer there is one."""
    retraining: RetrainingPolicy = RetrainingPolicy()
    """What has the model trained anew by itself."""
    revision: int | None = None
    """A revision to go to at once: what `promote`, `abort` and `rollback` mean. None is no revision at all."""
    force: Force | None = None
    reason: str = ""
    by: str = ""
    """Who wishes it."""
    generation: int = 0
    """Counted by the store, one a wish."""

    @property
    def label(self) -> Name:
        """The name, taken apart."""
        return Name.parse(self.name)


class Revision(_Document):
    """One version of a model as it was put on an endpoint. It keeps its code and environment for life."""

    number: int
    model: str
    version: str
    digest: str
    source: str
    """Where the registry keeps the bundle."""
    port: int
    state: State
    since: float
    """When it came into this state, in seconds since the epoch."""
    created: datetime
    folder: str = ""
    """Where the bundle lies on the computer that serves it."""
    pid: int = 0
    """Its process when it was first seen, while it starts: another one later means that it ended."""
    forced: bool = False
    log: LoggedColumns = LoggedColumns()
    """What the prediction log keeps of the columns, for the revision's life."""
    scale: ScaleSpec = ScaleSpec()
    """Its model servers, likewise."""

    @property
    def label(self) -> str:
        """`r3`."""
        return f"r{self.number}"


class Range(_Document):
    """An interval of confidence."""

    low: float
    high: float | None = None
    """None where nothing bounds it from above."""


class Figures(_Document):
    """What a judgement rests on; shares lie in 0 … 1, times are milliseconds."""

    champion_requests: int
    champion_errors: int
    challenger_requests: int
    challenger_errors: int
    champion_error_share: Range
    challenger_error_share: Range
    error_increase: Range
    quantile: float
    champion_latency: Range
    challenger_latency: Range
    latency_limit: Range
    """What the champion's quantile allows the challenger's, by both ends of its interval."""


class Judgement(_Document):
    """The last answer of `mlplat.controller.decision`."""

    verdict: Literal["continue", "advance", "breach", "inconclusive"]
    reason: str
    figures: Figures


class Rollout(_Document):
    """Where a canary stands."""

    step: int
    """Index into the policy's steps."""
    started: float
    """When the step began, in seconds since the epoch."""
    champion: Window = Window()
    """Counted in this step."""
    challenger: Window = Window()
    earlier: Window = Window()
    """The champion's, of the steps before."""
    seen: dict[str, Window] = {}
    """The gateway's counters at the last look, by revision label."""
    judgement: Judgement | None = None


class Status(_Document):
    """What has become of the wish."""

    phase: Phase = "resolving"
    message: str = ""
    trouble: str = ""
    """What keeps the controller from going on at the moment; it tries again."""
    since: datetime | None = None
    """When the phase began, by the platform's clock."""
    observed_generation: int = 0
    champion: int | None = None
    """Revision that serves."""
    challenger: int | None = None
    """Revision that is to take over, or that failed to and is kept for diagnosis."""
    previous: int | None = None
    """Revision that `rollback` returns to."""
    standing_in: int | None = None
    """Revision that answers while the champion is started again: the previous one, as long as it is kept running."""
    weight: int = 0
    """Per cent of the traffic that the challenger gets."""
    bake_until: float | None = None
    """Until when the previous revision is kept running, in seconds since the epoch."""
    rollout: Rollout | None = None
    revisions: tuple[Revision, ...] = ()
    last_revision: int = 0
    mirrored: dict[str, str] = {}
    """Version by alias, as the registry was last told."""

    @property
    def answering(self) -> int | None:
        """Revision that gets the champion's share of the traffic."""
        stand_in = self.revision(self.standing_in)
        return self.standing_in if stand_in and stand_in.state == "ready" else self.champion

    def revision(self, number: int | None) -> Revision | None:
        """Return a revision by its number."""
        return next((item for item in self.revisions if item.number == number), None)


class Endpoint(_Document):
    """An endpoint: wish and status."""

    spec: EndpointSpec
    status: Status = Status()

    @property
    def name(self) -> Name:
        """The endpoint's name."""
        return self.spec.label

    @property
    def settled(self) -> bool:
        """Whether the present wish has been carried out, or was given up."""
        status = self.status
        return status.observed_generation == self.spec.generation and status.phase not in (*MOVING, "deleting")


class Event(_Document):
    """One thing that happened to an endpoint."""

    number: int = 0
    """Counted by the store."""
    time: datetime
    """By the platform's clock."""
    generation: int
    kind: str
    text: str
    figures: Figures | None = None
