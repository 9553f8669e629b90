"""Who has looked at a hold-out, and what they were told: the runs of a model that were judged on the same rows.

Rows are the same by the content hash of their labels and times, whatever features were added since. A window that is
moved by a day is another one: a hold-out that follows the data is looked at once by each retraining.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from mlplat.labels import Name
from mlplat.runtime import registry

SHOWN = 20
"""Uses that a report names, the latest ones; all of them count."""


@dataclass(frozen=True)
class Use:
    """One run that was judged on a hold-out."""

    at: str
    """When the run was written down, UTC, ISO 8601."""
    by: str
    """Who started it, as MLflow has it."""
    run: str
    digest: str
    verdict: str
    """`passed` or `refused`."""


@dataclass(frozen=True)
class Ledger:
    """The uses of one hold-out before this one, the earliest first."""

    uses: tuple[Use, ...] = ()

    def look(self, digest: str) -> int:
        """Return the how-manyth model the one with this digest is, of those that the rows have judged.

        The same model asked again is told the same, and learns nothing new.
        """
        return 1 + len({use.digest for use in self.uses} - {digest})

    def described(self) -> list[dict[str, Any]]:
        """Return the latest uses as JSON."""
        return [asdict(use) for use in self.uses[-SHOWN:]]


def read(name: Name, window: str) -> Ledger:
    """Return the ledger of a model's hold-out, known by its content hash; an empty one without a registry.

    What this run itself wrote down before it was killed, and resumed, is no use. Raises `UnreachableError`.
    """
    if not registry.is_connected():
        return Ledger()
    server = registry.client()
    experiment = server.get_experiment_by_name(name.id)
    if experiment is None:
        return Ledger()
    wanted, uses, token = f"tags.`mlplat.window` = '{window}'", [], None
    while True:
        found = server.search_runs([experiment.experiment_id], wanted, max_results=1000, page_token=token)
        uses += [_use(run) for run in found if run.data.tags.get("mlplat.run", "") != _own()]
        if not (token := found.token):
            return Ledger(tuple(sorted(uses, key=lambda use: use.at)))


def _own() -> str | None:
    return os.environ.get(registry.RUN) or None


def _use(run: Any) -> Use:
    tags = run.data.tags
    at = datetime.fromtimestamp(run.info.start_time / 1000, UTC).isoformat(timespec="milliseconds")
    verdict = tags.get("mlplat.status", "unknown")
    return Use(at, tags.get("mlflow.user", "unknown"), run.info.run_id, tags.get("mlplat.digest", ""), verdict)
