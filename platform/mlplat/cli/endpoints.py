"""What the verbs for endpoints share: finding the platform and the endpoint, and watching a wish being carried out."""

from __future__ import annotations

import contextlib
import getpass
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from mlplat.cli.console import progress, say, warn
from mlplat.cli.options import current_project, find_project

if TYPE_CHECKING:
    from mlplat.clock import Clock
    from mlplat.contracts import Connection
    from mlplat.controller.document import Endpoint, Event
    from mlplat.controller.follow import Outcome
    from mlplat.controller.kubernetes.store import KubernetesStore
    from mlplat.controller.store import SqliteStore, Store, Wish
    from mlplat.labels import Name
    from mlplat.spec.project import ProjectSpec

DEFAULT_PLATFORM = "mlplat"
UNSEEN_SECONDS = 10.0
"""After which a wish that nobody took up is worth a remark."""
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Place:
    """Where a command works: the platform, and the project it was called in, if any."""

    connection: Connection
    project: ProjectSpec | None

    def name(self, text: str | None) -> Name:
        """Return the endpoint or model that `text` names; without it, the project's own.

        Raises `UsageError` where neither says it, `RefusedError` for a project that has no place on the cluster.
        """
        from mlplat.errors import UsageError
        from mlplat.labels import Name

        if text is not None:
            return self._placed(Name.parse(text, project=self.project.project if self.project else None))
        if self.project is None:
            raise UsageError("no endpoint was named", hint="write it as `project/name`, or go to a project's folder")
        return self._placed(Name(self.project.project, self.project.model))

    def _placed(self, name: Name) -> Name:
        from mlplat.controller.stores import entry
        from mlplat.errors import RefusedError

        here = self.connection
        if entry(here.store) and name.project not in here.namespaces:
            raise RefusedError(
                f"the project `{name.project}` belongs to no team of `{here.platform}` on the stack `{here.stack}`, so"
                " it has no namespace there",
                hint=f"the platform's keepers add it to `teams.<team>.projects` of the stack file; `mlplat up -s"
                f" {here.stack}` then writes it down here as well",
            )
        return name

    @property
    def clock(self) -> Clock:
        """The clock that the platform goes by."""
        from mlplat.clock import Clock

        return Clock.of(self.connection.clock)

    @contextlib.contextmanager
    def store(self) -> Iterator[SqliteStore | KubernetesStore]:
        """Open the endpoint documents."""
        from mlplat.controller.stores import opened

        with opened(self.connection.store, self.connection.namespaces) as store:
            yield store

    @contextlib.contextmanager
    def reach(self, url: str) -> Iterator[str]:
        """Yield the address by which `url` is reached from here: what only the cluster reaches, by a forwarded port."""
        from mlplat.controller.stores import entry

        into = entry(self.connection.store)
        if into is None:
            yield url
            return
        from mlplat.targets.kubernetes.forward import forwarded

        with into.cluster() as cluster, forwarded(cluster, url) as address:
            yield address

    def address(self, name: Name) -> str:
        """Return the URL under which an endpoint answers."""
        return f"{self.connection.gateway}/endpoints/{name}"


def place(stack: str) -> Place:
    """Find the platform: the project's, or outside of one the default."""
    from mlplat.contracts import Connection

    project = current_project()[1] if find_project() else None
    return Place(Connection.read(project.platform if project else DEFAULT_PLATFORM, stack), project)


def existing(store: Store, name: Name) -> Endpoint:
    """Return an endpoint. Raises `RefusedError` when there is none."""
    from mlplat.controller.wishes import no_endpoint

    endpoint = store.get(name)
    if endpoint is None:
        raise no_endpoint(name)
    return endpoint


def user() -> str:
    """Return who calls."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody without a name"


def wish(where: Place, store: Store, name: Name, make: Wish, text: str) -> Endpoint:
    """Put a wish in place, and say it in the history."""
    from mlplat.controller.document import Event

    event = Event(time=where.clock.now(), generation=0, kind="wished", text=f"{user()} wishes {text}")
    return store.wish(name, make, event)


def watch(store: Store, wished: Endpoint, *, after: int, timeout: float | None) -> Outcome:
    """Show what happens to a wish until it has an outcome.

    Raises `NotReadyError` after `timeout` seconds, `click.Abort` on Ctrl-C; the wish stays either way.
    """
    from mlplat.controller.follow import follow
    from mlplat.errors import NotReadyError

    name, began, told, reminded = wished.name, time.monotonic(), "", False
    goes_on = f"it goes on: `mlplat rollout status {name}` shows it, `mlplat rollout abort {name}` ends it"
    try:
        with _line(f"{name} …") as show:
            for sight in follow(store, wished, after=after):
                for event in sight.events:
                    say(event_line(event))
                if sight.outcome:
                    return sight.outcome
                status = sight.endpoint.status if sight.endpoint else wished.status
                if status.trouble and status.trouble != told:
                    warn(f"{status.trouble} (it is tried again)")
                told = status.trouble
                show(f"{name}: {status.message}")
                waited = time.monotonic() - began
                if timeout is not None and waited > timeout:
                    raise NotReadyError(f"{name} is {status.phase} after {waited:.0f} s", hint=goes_on)
                if not reminded and waited > UNSEEN_SECONDS and status.observed_generation < wished.spec.generation:
                    warn("the controller has not taken it up; `mlplat status` shows whether it runs")
                    reminded = True
    except KeyboardInterrupt:
        say(goes_on)
        raise click.Abort from None
    raise AssertionError("following ends with an outcome")


@contextlib.contextmanager
def _line(text: str) -> Iterator[Callable[[str], None]]:
    """Show one moving line on a terminal; elsewhere only events are worth a line."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    with progress(text) as show:
        yield show


def event_line(event: Event) -> str:
    """Write an event for people."""
    return f"{event.time:%Y-%m-%d %H:%M:%S}  {event.kind:<12} {event.text}"


def age(since: datetime | None, clock: Clock) -> str:
    """Write how long ago something was."""
    if since is None:
        return "-"
    seconds = max(0.0, (clock.now() - since).total_seconds())
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def version_of(endpoint: Endpoint, number: int | None) -> str:
    """Write a revision as people know it: `2 (r3)`."""
    revision = endpoint.status.revision(number)
    return f"{revision.version} ({revision.label})" if revision else "-"
