"""An endpoint's world in memory: the port's second implementation, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlplat.bundle import Column, Contract, Example, Row
from mlplat.controller.actuator import Condition
from mlplat.controller.document import Endpoint, Event, Revision, Status
from mlplat.controller.errands import Errands
from mlplat.controller.gateway import Plan, Upstream
from mlplat.controller.reconcile import Reconciler
from mlplat.controller.registry import GateReport, Version
from mlplat.controller.store import SqliteStore, Wish
from mlplat.controller.transitions import Moment
from mlplat.controller.window import Window
from mlplat.errors import RefusedError, UnreachableError
from mlplat.labels import Name
from mlplat.tracking import AbsentError

EPOCH = datetime(2013, 7, 1, tzinfo=UTC)
LATE = Name("flights", "late")
EDGES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0)


class Killed(BaseException):
    """The controller's process ended here."""


@dataclass
class Behaviour:
    """A model version: how it behaves once it serves."""

    milliseconds: float = 3.0
    error_every: int = 0
    """Every how manyth request fails; 0 is none."""
    starts: bool = True
    answers_wrongly: bool = False
    digest: str = ""
    report: GateReport | None = None


@dataclass
class World:
    """Processes, gateway, registry and clock, without any of them being real."""

    folder: Path
    versions: dict[str, Behaviour] = field(default_factory=dict)
    seconds: float = 1_000_000.0
    rate: int = 300
    """Requests a second to each endpoint that has a route."""
    processes: dict[Name, dict[str, Revision]] = field(default_factory=dict)
    plan: Plan = field(default_factory=Plan)
    counters: dict[str, Window] = field(default_factory=dict)
    lost: int = 0
    """Requests that met a route without a process behind it."""
    down: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)
    """Digests of bundles that a disk has damaged since they were fetched."""
    hung: set[str] = field(default_factory=set)
    pids: dict[str, int] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    revived: list[str] = field(default_factory=list)
    kept_digests: set[str] = field(default_factory=set)
    calls: int = 0
    killed_at: int = -1
    fault: BaseException = field(default_factory=Killed)
    """What comes instead of that action: the process's end, or an error that it goes on from."""

    def register(self, number: str, **behaviour: Any) -> None:
        """Put a version into the registry, with a passed gate report unless told otherwise."""
        digest = behaviour.pop("digest", f"sha256:{number}")
        report = behaviour.pop("report", GateReport(digest, True, ()))
        columns = behaviour.pop("columns", (Column(name="distance", type="double"),))
        self.versions[number] = Behaviour(digest=digest, report=report, **behaviour)
        folder = self.folder / number
        folder.mkdir(parents=True)
        contract = Contract(
            project="flights", model="late", task="binary", columns=columns,
            classes=(False, True), threshold=0.5, examples=(Example(row={"distance": 1.0}, prediction=0.25),),
        )  # fmt: skip
        (folder / "mlplat.json").write_text(contract.model_dump_json())

    def _act(self) -> None:
        """Count an action, and end the controller's process before the one that was asked for."""
        self.calls += 1
        if self.calls == self.killed_at:
            raise self.fault

    # The actuator.

    def owners(self) -> list[Name]:
        return [name for name, revisions in self.processes.items() if revisions]

    def run(self, endpoint: Name, revisions: Sequence[Revision]) -> None:
        wanted = {revision.label: revision for revision in revisions}
        if self.processes.get(endpoint, {}).keys() != wanted.keys():
            self._act()
            present = self.processes.get(endpoint, {})
            self.processes[endpoint] = {label: present.get(label, item) for label, item in wanted.items()}
            self._act()

    def restart(self, endpoint: Name, revision: Revision) -> None:
        self._act()
        self.revived.append(revision.label)
        self.hung.discard(revision.label)
        self.pids[revision.label] = self.pids.get(revision.label, revision.number) + 100

    def is_whole(self, revision: Revision) -> bool:
        return revision.digest not in self.damaged

    def revive(self, endpoint: Name, revision: Revision) -> None:
        assert self.is_whole(revision), "it would end again at once"
        self.revived.append(revision.label)
        self.dead.discard(revision.label)

    def free_port(self, taken: Iterable[int]) -> int:
        return next(port for port in range(9000, 9100) if port not in set(taken))

    def condition(self, endpoint: Name, revision: Revision) -> Condition:
        if revision.label not in self.processes.get(endpoint, {}):
            return Condition("starting")
        if not self.versions[revision.version].starts or revision.label in self.dead:
            return Condition("dead", detail="exited")
        pid = self.pids.get(revision.label, revision.number)
        hangs = revision.label in self.hung
        return Condition("starting" if hangs else "ready", pid=pid, silent=hangs)

    def last_words(self, endpoint: Name, revision: Revision) -> str:
        return "error: the model does not load"

    def predict(self, endpoint: Name, revision: Revision, rows: Sequence[Row]) -> list[Mapping[str, Any]]:
        self._act()
        wrong = self.versions[revision.version].answers_wrongly
        return [{"label": False, "probability": 0.75 if wrong else 0.25} for _ in rows]

    def bundle(self, revision: Revision) -> Path:
        return self.folder / revision.version

    def publish(self, endpoint: Name, folder: Path, digest: str) -> None:
        """They read the fetched folder itself."""

    def direct(self, plan: Plan) -> None:
        if "gateway" in self.down:
            raise UnreachableError("the gateway does not answer")
        if plan != self.plan:
            self._act()
            known = {upstream.cluster for upstream in plan.upstreams}
            assert all(cluster in known for route in plan.routes for cluster, _ in route.weights)
            self.plan = plan
            self._act()

    def counts(self, upstreams: Iterable[Upstream]) -> dict[str, Window]:
        return {upstream.cluster: self.counters.get(upstream.cluster, Window()) for upstream in upstreams}

    def active(self, upstream: Upstream) -> int:
        return 0

    # The registry.

    def version(self, model: Name, number: str) -> Version:
        self._registry_answers()
        if number not in self.versions:
            raise AbsentError(f"{model} has no version {number}")
        return Version(model, number, self.versions[number].digest, f"mlflow-artifacts:/{number}", "run")

    def gate_report(self, version: Version) -> GateReport | None:
        self._registry_answers()
        return self.versions[version.number].report

    def fetch(self, source: str, digest: str) -> tuple[Path, str]:
        self._act()
        number = source.rpartition("/")[2]
        if digest and digest != self.versions[number].digest:
            raise RefusedError("another digest")
        if digest in self.damaged:
            # Whoever asks for what is damaged here asks the registry.
            self._registry_answers()
            self.damaged.discard(digest)
        return self.folder / number, self.versions[number].digest or "sha256:computed"

    def alias(self, model: Name, alias: str) -> str | None:
        self._registry_answers()
        return self.aliases.get(alias)

    def set_alias(self, model: Name, alias: str, number: str | None) -> None:
        self._registry_answers()
        self._act()
        if number is None:
            self.aliases.pop(alias, None)
        else:
            self.aliases[alias] = number

    def prune(self, digests: set[str]) -> None:
        self.kept_digests = digests

    def _registry_answers(self) -> None:
        if "registry" in self.down:
            raise UnreachableError("the registry does not answer")

    # Time and traffic.

    def moment(self) -> Moment:
        return Moment(self.seconds, EPOCH + timedelta(seconds=self.seconds - 1_000_000.0))

    def elapse(self, seconds: float) -> None:
        """Let time pass, and requests arrive."""
        self.seconds += seconds
        for route in self.plan.routes:
            whole = sum(weight for _, weight in route.weights)
            for cluster, weight in route.weights:
                self._serve(route.endpoint, cluster, round(self.rate * seconds * weight / whole))

    def _serve(self, endpoint: Name, cluster: str, requests: int) -> None:
        label = cluster.rpartition(".")[2]
        revision = self.processes.get(endpoint, {}).get(label)
        if revision is None:
            self.lost += requests
            return
        behaviour = self.versions[revision.version]
        errors = requests // behaviour.error_every if behaviour.error_every else 0
        if label in self.dead:
            errors = requests
        buckets = tuple((edge, requests if behaviour.milliseconds <= edge else 0) for edge in EDGES)
        new = Window(requests=requests, errors=errors, timed=requests, buckets=buckets)
        self.counters[cluster] = self.counters.get(cluster, Window()) + new


class CutStore(SqliteStore):
    """A store whose writes are actions too: the fault comes before one, or behind it."""

    def __init__(self, path: Path, world: World) -> None:
        super().__init__(path)
        self.world = world

    def report(self, name: Name, generation: int, status: Status, events: Sequence[Event] = ()) -> None:
        before = self.get(name)
        shown = [item and (item.phase, item.revisions) for item in (before and before.status, status)]
        # Those that only count requests are many, and alike.
        matters = bool(events) or shown[0] != shown[1]
        if matters:
            self.world._act()
        super().report(name, generation, status, events)
        if matters:
            self.world._act()

    def remove(self, name: Name, generation: int, event: Event) -> None:
        self.world._act()
        super().remove(name, generation, event)
        self.world._act()


def reconciler(store: SqliteStore, world: World) -> Reconciler:
    """Return a controller whose errands are made at once."""
    return Reconciler(store, world, lambda: world, world.moment, Errands(lambda call: call()))


@dataclass
class Controlled:
    """A world, a store, and the controller that stands between them."""

    world: World
    store: SqliteStore
    reconciler: Reconciler

    def restart(self) -> None:
        """Put another controller in the place of this one."""
        self.reconciler = reconciler(self.store, self.world)

    def wish(self, wish: Wish, name: Name = LATE) -> Endpoint:
        """Write a wish as the command line does."""
        return self.store.wish(name, wish, Event(time=EPOCH, generation=0, kind="wished", text="a wish"))

    def endpoint(self, name: Name = LATE) -> Endpoint:
        found = self.store.get(name)
        assert found is not None
        return found

    def passes(self, until: Callable[[Endpoint], bool], *, name: Name = LATE, most: int = 2000) -> Endpoint:
        """Make passes, with time going by, until an endpoint is as wanted."""
        for _ in range(most):
            pace = self.reconciler.run()
            found = self.store.get(name)
            if found is not None and until(found):
                return found
            self.world.elapse({"now": 0.0, "soon": 0.2, "later": 1.0}[pace])
        pytest.fail(f"never came: {self.store.get(name)}")

    def settle(self, name: Name = LATE) -> Endpoint:
        """Make passes until the present wish is done, one way or another."""
        return self.passes(lambda endpoint: endpoint.settled, name=name)

    def kinds(self, name: Name = LATE) -> list[str]:
        return [event.kind for event in self.store.events(name)]


@pytest.fixture
def controlled(tmp_path: Path) -> Iterator[Controlled]:
    """Return a world with two good versions of `flights/late` and nothing deployed."""
    world = World(tmp_path / "models")
    world.register("1")
    world.register("2")
    with SqliteStore(tmp_path / "endpoints.db") as store:
        yield Controlled(world, store, reconciler(store, world))
