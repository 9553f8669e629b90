"""What every part of a pass works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mlplat.controller.actuator import Actuator, Condition, Limits
from mlplat.controller.document import Endpoint, Revision
from mlplat.controller.errands import Errands
from mlplat.controller.patience import Patience
from mlplat.controller.registry import Registry
from mlplat.controller.silence import Silence
from mlplat.controller.store import Store
from mlplat.controller.transitions import Moment


@dataclass(frozen=True)
class Means:
    """The world around a pass, and what is remembered between two of them."""

    store: Store
    actuator: Actuator
    registry: Callable[[], Registry]
    moment: Callable[[], Moment]
    errands: Errands
    limits: Callable[[], Limits]
    patience: Patience
    silence: Silence = field(default_factory=Silence)
    failures: dict[str, int] = field(default_factory=dict)
    """What failed, by endpoint."""

    def count_failure(self, name: str) -> None:
        """Count something of an endpoint that failed."""
        self.failures[name] = self.failures.get(name, 0) + 1

    def hangs(self, endpoint: Endpoint, revision: Revision, condition: Condition) -> float | None:
        """Take note of a look at a process; return for how long it was silent where it hangs, or else None."""
        return self.silence.lasts((endpoint.spec.name, revision.label), condition, self.moment().seconds)
