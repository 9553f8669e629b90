from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlplat.bundle import Column
from mlplat.controller import wishes
from mlplat.controller.document import Endpoint, EndpointSpec, Force
from mlplat.controller.reconcile import Reconciler
from mlplat.controller.registry import GateReport
from mlplat.controller.store import SqliteStore, Wish
from mlplat.errors import RefusedError, StateError
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy

from .conftest import LATE, Controlled, CutStore, Killed, World, reconciler


def deploy(version: str, **changes: object) -> Wish:
    policy = RolloutPolicy.model_validate(changes, strict=False)
    return lambda _: wishes.deploy(LATE, LATE, version, policy, by="ada")


def by(function: Callable[..., EndpointSpec], name: Name = LATE) -> Wish:
    return lambda present: function(present, name, by="ada", reason="because")


@pytest.fixture
def serving(controlled: Controlled) -> Controlled:
    controlled.wish(deploy("1"))
    assert controlled.settle().status.phase == "serving"
    return controlled


def weights(controlled: Controlled) -> dict[str, int]:
    return {cluster: weight for route in controlled.world.plan.routes for cluster, weight in route.weights}


def champion(endpoint: Endpoint) -> str:
    revision = endpoint.status.revision(endpoint.status.champion)
    assert revision is not None
    return revision.version


def test_the_first_version_gets_all_traffic_at_once(controlled: Controlled) -> None:
    controlled.wish(deploy("1"))
    endpoint = controlled.settle()
    controlled.reconciler.run()
    assert (endpoint.status.phase, weights(controlled)) == ("serving", {"flights.late.r1": 100})
    assert "no champion to compare with" in controlled.store.events(LATE)[-2].text


def test_an_equally_good_version_is_promoted_through_every_step(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    seen = []
    while not serving.endpoint().settled:
        serving.reconciler.run()
        serving.world.elapse(0.2)
        seen.append(serving.endpoint().status.weight)
    assert list(dict.fromkeys(seen)) == [0, 10, 50, 100]
    assert champion(serving.endpoint()) == "2"
    assert serving.kinds()[-7:] == ["step", "passed", "step", "passed", "step", "passed", "promoted"]


def test_the_old_version_is_kept_until_the_bake_time_ends_and_then_ended(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    assert serving.settle().status.phase == "baking"
    assert serving.world.processes[LATE].keys() == {"r1", "r2"}
    serving.passes(lambda endpoint: endpoint.status.phase == "serving")
    serving.passes(lambda _: serving.world.processes[LATE].keys() == {"r2"})
    assert [upstream.revision for upstream in serving.world.plan.upstreams] == ["r2"]


@pytest.mark.parametrize(
    ("behaviour", "reason"), [({"milliseconds": 90.0}, "p95 is"), ({"error_every": 10}, "errors grew by at least")]
)
def test_a_worse_version_loses_its_traffic_and_is_kept(
    serving: Controlled, behaviour: dict[str, float], reason: str
) -> None:
    serving.world.register("3", **behaviour)
    serving.wish(deploy("3"))
    endpoint = serving.settle()
    serving.reconciler.run()
    assert (endpoint.status.phase, champion(endpoint)) == ("breached", "1")
    assert reason in endpoint.status.message
    assert weights(serving) == {"flights.late.r1": 100}
    assert serving.world.processes[LATE].keys() == {"r1", "r2"}


def test_the_next_deploy_ends_what_was_kept_for_diagnosis(serving: Controlled) -> None:
    serving.world.register("3", milliseconds=90.0)
    serving.wish(deploy("3"))
    serving.settle()
    serving.wish(deploy("2"))
    serving.settle()
    serving.passes(lambda _: "r2" not in serving.world.processes[LATE])
    assert champion(serving.endpoint()) == "2"


def test_without_traffic_a_rollout_ends_inconclusive(serving: Controlled) -> None:
    serving.world.rate = 0
    serving.wish(deploy("2", step_timeout_seconds=20.0))
    endpoint = serving.settle()
    assert endpoint.status.phase == "inconclusive"
    assert "0 of at least 100 requests" in endpoint.status.message
    serving.wish(by(wishes.promote))
    assert champion(serving.settle()) == "2"


def test_a_challenger_whose_process_ends_is_a_breach(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: endpoint.status.phase == "rolling")
    serving.world.dead.add("r2")
    assert serving.settle().status.phase == "breached"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"starts": False}, "ended while it started:\nerror: the model does not load"),
        ({"answers_wrongly": True}, "does not answer as it was judged"),
    ],
)
def test_a_version_that_does_not_come_up_never_gets_traffic(
    serving: Controlled, behaviour: dict[str, bool], reason: str
) -> None:
    serving.world.register("3", **behaviour)
    serving.wish(deploy("3"))
    endpoint = serving.settle()
    serving.reconciler.run()
    assert endpoint.status.phase == "failed"
    assert reason in endpoint.status.message
    assert serving.world.processes[LATE].keys() == {"r1"}
    assert "flights.late.r2" not in serving.world.counters


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"report": None}, "has no gate report"),
        ({"report": GateReport("sha256:3", False, ("auc",))}, "the gate refused flights/late version 3 on auc"),
        ({"report": GateReport("sha256:other", True, ())}, "the gate judged sha256:other"),
        ({"digest": ""}, "is registered without a digest"),
    ],
)
def test_a_version_is_refused_unless_the_gate_let_exactly_its_bundle_pass(
    serving: Controlled, changes: dict[str, object], reason: str
) -> None:
    serving.world.register("3", **changes)
    serving.wish(deploy("3"))
    endpoint = serving.settle()
    assert (endpoint.status.phase, champion(endpoint)) == ("refused", "1")
    assert reason in endpoint.status.message


def test_versions_that_take_other_requests_share_no_traffic(serving: Controlled) -> None:
    columns = (Column(name="distance", type="double"), Column(name="delay", type="double"))
    serving.world.register("3", columns=columns)
    serving.wish(deploy("3"))
    endpoint = serving.settle()
    assert (endpoint.status.phase, champion(endpoint)) == ("failed", "1")
    assert "takes other requests than what serves: `delay` has to be in a request" in endpoint.status.message
    serving.wish(deploy("3", strategy="direct"))
    assert champion(serving.settle()) == "3"


def test_a_forced_version_serves_and_the_reason_is_recorded(serving: Controlled) -> None:
    serving.world.register("3", report=None)
    force = Force(reason="the gate's data is broken", by="ada")
    serving.wish(lambda _: wishes.deploy(LATE, LATE, "3", RolloutPolicy(), by="ada", force=force))
    assert champion(serving.settle()) == "3"
    assert any("the gate's data is broken" in event.text for event in serving.store.events(LATE))
    assert serving.endpoint().status.revisions[-1].forced


def test_rollback_returns_at_once_while_the_old_version_is_warm(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    serving.settle()
    serving.wish(by(wishes.rollback))
    serving.reconciler.run()
    assert weights(serving) == {"flights.late.r1": 100}
    assert champion(serving.endpoint()) == "1"


def test_rollback_starts_a_version_again_that_does_not_run_any_more(serving: Controlled) -> None:
    serving.wish(deploy("2", bake_seconds=1.0))
    serving.settle()
    serving.passes(lambda _: serving.world.processes[LATE].keys() == {"r2"})
    serving.world.down.add("registry")
    serving.wish(by(wishes.rollback))
    assert champion(serving.settle()) == "1"


def test_rollback_leaves_what_is_kept_for_diagnosis_to_the_next_deploy(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    serving.settle()
    serving.world.register("3", milliseconds=90.0)
    serving.wish(deploy("3"))
    serving.settle()
    serving.wish(by(wishes.rollback))
    serving.settle()
    assert "r3" in serving.world.processes[LATE]
    serving.wish(deploy("2", strategy="direct"))
    serving.settle()
    serving.passes(lambda _: "r3" not in serving.world.processes[LATE])


def test_abort_returns_all_traffic_to_the_champion(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: endpoint.status.phase == "rolling")
    serving.wish(by(wishes.abort))
    endpoint = serving.settle()
    serving.reconciler.run()
    assert (endpoint.status.phase, weights(serving)) == ("aborted", {"flights.late.r1": 100})
    assert "aborted by ada; because" in endpoint.status.message


def test_promote_skips_the_remaining_steps(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: endpoint.status.phase == "rolling")
    serving.wish(by(wishes.promote))
    serving.reconciler.run()
    assert weights(serving) == {"flights.late.r2": 100}


def test_a_new_deploy_takes_the_place_of_a_rollout(serving: Controlled) -> None:
    serving.world.register("3")
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: endpoint.status.phase == "rolling")
    serving.wish(deploy("3"))
    assert champion(serving.settle()) == "3"
    serving.passes(lambda _: "r2" not in serving.world.processes[LATE])


def test_a_deleted_endpoint_leaves_nothing_but_its_history_and_numbers(serving: Controlled) -> None:
    serving.wish(lambda present: wishes.delete(present, LATE, by="ada"))
    for _ in range(30):
        serving.reconciler.run()
        serving.world.elapse(0.2)
    assert serving.store.get(LATE) is None
    assert (serving.world.owners(), serving.world.plan.upstreams, serving.world.plan.routes) == ([], (), ())
    assert serving.kinds()[-1] == "deleted"
    serving.wish(deploy("2"))
    assert serving.settle().status.champion == 2


def test_registry_aliases_follow_and_a_down_registry_stops_nothing(serving: Controlled) -> None:
    world = serving.world
    serving.passes(lambda endpoint: endpoint.status.mirrored == {"champion": "1"})
    world.aliases["challenger"] = "2"
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: endpoint.status.phase == "rolling")
    world.down.add("registry")
    assert champion(serving.settle()) == "2"
    world.down.clear()
    serving.passes(lambda endpoint: endpoint.status.mirrored == {"champion": "2"})
    assert world.aliases == {"champion": "2"}


def test_a_newer_challenger_keeps_its_alias(serving: Controlled) -> None:
    serving.wish(deploy("2", strategy="direct"))
    serving.world.aliases["challenger"] = "7"
    serving.settle()
    serving.passes(lambda endpoint: endpoint.status.mirrored == {"champion": "2"})
    assert serving.world.aliases == {"champion": "2", "challenger": "7"}


def test_a_down_registry_delays_a_deploy_and_says_so(serving: Controlled) -> None:
    serving.world.down.add("registry")
    serving.wish(deploy("2"))
    endpoint = serving.passes(lambda found: bool(found.status.trouble))
    assert endpoint.status.trouble == "the registry does not answer"
    serving.world.down.clear()
    settled = serving.settle()
    assert (champion(settled), settled.status.trouble) == ("2", "")


def test_a_down_gateway_is_said_and_healed(serving: Controlled) -> None:
    serving.world.down.add("gateway")
    serving.wish(deploy("2"))
    serving.passes(lambda found: found.status.trouble == "the gateway does not answer")
    serving.world.down.clear()
    serving.passes(lambda found: found.status.phase == "rolling" and not found.status.trouble)
    assert champion(serving.settle()) == "2"


def test_one_endpoints_failure_does_not_stop_another(serving: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    eu = Name("flights", "late-eu")
    condition = World.condition

    def failing(world: World, endpoint: Name, revision: object) -> object:
        if endpoint == LATE:
            raise ZeroDivisionError("a bug")
        return condition(world, endpoint, revision)  # type: ignore[arg-type]

    monkeypatch.setattr(World, "condition", failing)
    serving.wish(lambda _: wishes.deploy(eu, LATE, "2", RolloutPolicy(), by="ada"), eu)
    assert champion(serving.settle(eu)) == "2"
    assert serving.endpoint().status.trouble == "internal error: ZeroDivisionError: a bug"


def test_two_endpoints_never_get_the_same_port(controlled: Controlled) -> None:
    eu = Name("flights", "late-eu")
    controlled.wish(deploy("1"))
    controlled.wish(lambda _: wishes.deploy(eu, LATE, "2", RolloutPolicy(), by="ada"), eu)
    controlled.settle()
    controlled.settle(eu)
    ports = [item.port for endpoint in controlled.store.endpoints() for item in endpoint.status.revisions]
    assert len(set(ports)) == len(ports) == 2


def test_what_supervision_gave_up_is_started_again(serving: Controlled) -> None:
    serving.world.dead.add("r1")
    serving.passes(lambda _: serving.world.revived == ["r1"])


def test_processes_without_a_document_are_ended(serving: Controlled) -> None:
    gone = Name("flights", "gone")
    serving.wish(lambda _: wishes.deploy(gone, LATE, "2", RolloutPolicy(), by="ada"), gone)
    serving.settle(gone)
    serving.wish(lambda present: wishes.delete(present, gone, by="ada"), gone)
    for _ in range(30):
        serving.reconciler.run()
        serving.world.elapse(0.2)
    serving.world.processes[gone] = {"r1": serving.endpoint().status.revisions[0]}
    serving.reconciler.run()
    assert serving.world.owners() == [LATE]


def test_a_restarted_gateway_counts_anew_and_the_rollout_goes_on(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: bool(endpoint.status.rollout and endpoint.status.rollout.challenger.requests > 200))
    serving.world.counters.clear()
    assert champion(serving.settle()) == "2"


def test_a_person_cannot_promote_or_abort_what_is_not_under_way(serving: Controlled) -> None:
    for wish in (wishes.promote, wishes.abort):
        with pytest.raises(RefusedError):
            serving.wish(by(wish))
    with pytest.raises(RefusedError, match="no version to return to"):
        serving.wish(by(wishes.rollback))


Story = Callable[[Controlled], None]


def rolled_out(controlled: Controlled) -> None:
    controlled.wish(deploy("2", bake_seconds=2.0))


def breached(controlled: Controlled) -> None:
    controlled.wish(deploy("3"))


def deleted(controlled: Controlled) -> None:
    controlled.wish(lambda present: wishes.delete(present, LATE, by="ada"))


def hung(controlled: Controlled) -> None:
    controlled.world.hung.add("r1")


def _lived(folder: Path, story: Story, fault: Callable[[], BaseException], killed_at: int) -> tuple[object, int]:
    """Live a story with a fault at its nth action; return the end state and the actions it took."""
    world = World(folder / "models")
    for version, behaviour in {"1": {}, "2": {}, "3": {"milliseconds": 90.0}}.items():
        world.register(version, **behaviour)
    world.fault = fault()
    with CutStore(folder / "endpoints.db", world) as store:
        controlled = Controlled(world, store, reconciler(store, world))
        controlled.wish(deploy("1"))
        controlled.settle()
        for _ in range(5):
            controlled.reconciler.run()
        world.calls, world.killed_at = 0, killed_at
        story(controlled)
        for _ in range(400):
            try:
                pace = controlled.reconciler.run()
            except (Killed, StateError) as error:
                if isinstance(error, Killed):
                    controlled.restart()
                continue
            world.elapse({"now": 0.0, "soon": 0.2, "later": 1.0}[pace])
        assert world.lost == 0, "a request met a route without a process"
        end = store.get(LATE)
        document = end and [(item.number, item.version, item.state) for item in end.status.revisions]
        state = end and (end.status.phase, end.status.champion, end.status.challenger, end.status.weight, document)
        running = sorted(label for revisions in world.processes.values() for label in revisions)
        # Whether a challenger that was given up had its alias by then is a matter of moments.
        return (state, running, world.plan, world.aliases.get("champion")), world.calls


def killed() -> BaseException:
    return Killed()


def failed() -> BaseException:
    return StateError("it could not be done")


@pytest.mark.parametrize("fault", [killed, failed], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("story", [rolled_out, breached, deleted, hung], ids=lambda story: story.__name__)
def test_a_controller_cut_off_at_any_action_or_write_ends_in_the_same_state(
    tmp_path: Path, story: Story, fault: Callable[[], BaseException]
) -> None:
    live = functools.partial(_lived, story=story, fault=fault)
    expected, actions = live(tmp_path / "whole", killed_at=-1)
    assert actions > 0
    for action in range(1, actions + 1):
        assert live(tmp_path / str(action), killed_at=action)[0] == expected, f"killed at action {action}"


def test_a_challenger_that_hangs_is_a_breach(serving: Controlled) -> None:
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: endpoint.status.phase == "rolling")
    serving.world.hung.add("r2")
    endpoint = serving.settle()
    assert (endpoint.status.phase, endpoint.status.weight) == ("breached", 0)
    assert "it hangs: no answer for" in endpoint.status.message
    serving.reconciler.run()
    assert weights(serving) == {"flights.late.r1": 100}


def test_a_champion_that_hangs_is_started_again_and_told_of(serving: Controlled) -> None:
    serving.world.hung.add("r1")
    serving.passes(lambda _: serving.world.revived == ["r1"])
    assert serving.kinds()[-1] == "restarted"
    for _ in range(20):
        serving.reconciler.run()
        serving.world.elapse(2)
    assert serving.world.revived == ["r1"]


def test_a_dead_champion_whose_files_are_damaged_is_started_once_they_are_fetched_again(serving: Controlled) -> None:
    world = serving.world
    digest = world.versions["1"].digest
    world.dead.add("r1")
    world.damaged.add(digest)
    world.down.add("registry")
    for _ in range(20):
        serving.reconciler.run()
        world.elapse(2)
    assert (world.revived, world.damaged) == ([], {digest}), "it would end again at once"
    world.down.clear()
    serving.passes(lambda _: world.revived == ["r1"])
    assert world.damaged == set()
    assert serving.kinds()[-1] == "restarted"


@pytest.mark.parametrize("fault", ["hung", "dead"])
def test_a_champion_is_started_again_in_the_middle_of_a_rollout(serving: Controlled, fault: str) -> None:
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: endpoint.status.phase == "rolling")
    getattr(serving.world, fault).add("r1")
    endpoint = serving.passes(lambda _: serving.world.revived == ["r1"])
    assert endpoint.status.phase == "rolling"
    assert champion(serving.settle()) == "2"


def test_the_version_before_answers_until_a_hung_champion_does(serving: Controlled) -> None:
    serving.wish(deploy("2", strategy="direct", bake_seconds=30.0))
    serving.settle()
    serving.passes(lambda _: weights(serving) == {"flights.late.r2": 100})
    serving.world.hung.add("r2")
    began = serving.world.seconds
    serving.passes(lambda _: weights(serving) == {"flights.late.r1": 100})
    assert serving.world.seconds - began < 10
    serving.passes(lambda _: weights(serving) == {"flights.late.r2": 100})
    assert serving.kinds()[-3:] == ["stood in", "restarted", "back"]
    assert serving.world.lost == 0


def test_who_stands_in_is_not_drained_before_the_champion_answers(
    serving: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "restart", lambda self, endpoint, revision: None)
    serving.wish(deploy("2", strategy="direct", bake_seconds=10.0))
    serving.settle()
    serving.world.hung.add("r2")
    serving.passes(lambda _: weights(serving) == {"flights.late.r1": 100})
    for _ in range(40):
        serving.reconciler.run()
        serving.world.elapse(2)
    assert weights(serving) == {"flights.late.r1": 100}
    serving.world.hung.clear()
    serving.passes(lambda _: "r1" not in serving.world.processes[LATE])
    assert weights(serving) == {"flights.late.r2": 100}


def test_a_store_that_has_lost_an_endpoint_ends_nothing(serving: Controlled, tmp_path: Path) -> None:
    plan = serving.world.plan
    with (
        SqliteStore(tmp_path / "another.db") as empty,
        pytest.raises(StateError, match="has never heard of flights/late") as caught,
    ):
        reconciler(empty, serving.world).run()
    assert "put back a copy" in (caught.value.hint or "")
    assert (serving.world.owners(), serving.world.plan) == ([LATE], plan)


def test_a_hanging_registry_stops_neither_a_rollback_nor_another_endpoint(
    serving: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    eu, asked, go_on = Name("flights", "late-eu"), threading.Event(), threading.Event()
    serving.wish(deploy("2", strategy="direct"))
    serving.settle()
    answer = World.version

    def hang(world: World, model: Name, number: str) -> object:
        asked.set()
        assert go_on.wait(30)
        return answer(world, model, number)

    monkeypatch.setattr(World, "version", hang)
    world = serving.world
    serving.reconciler = Reconciler(serving.store, world, lambda: world, world.moment)
    serving.wish(lambda _: wishes.deploy(eu, LATE, "2", RolloutPolicy(), by="ada"), eu)
    serving.reconciler.run()
    assert asked.wait(30)
    serving.wish(by(wishes.rollback))
    assert champion(serving.settle()) == "1"
    waiting = serving.endpoint(eu)
    assert waiting.status.phase == "resolving"
    go_on.set()
    serving.passes(lambda endpoint: endpoint.settled, name=eu, most=200_000)


def test_a_full_disk_while_fetching_is_told_and_tried_again(
    serving: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = World.fetch

    def full(world: World, source: str, digest: str) -> object:
        if "disk" in world.down:
            raise StateError("models/.fetching: cannot be written: No space left on device")
        return fetch(world, source, digest)

    monkeypatch.setattr(World, "fetch", full)
    serving.world.down.add("disk")
    serving.world.dead.add("r1")
    serving.wish(deploy("2"))
    serving.passes(lambda endpoint: "No space left" in endpoint.status.trouble)
    for _ in range(100):
        serving.reconciler.run()
        serving.world.elapse(0.2)
    assert "No space left" in serving.endpoint().status.trouble
    assert serving.world.revived == ["r1"], "what serves is cared for meanwhile"
    assert 2 <= serving.reconciler.failures["flights/late"] <= 8, "tried again, ever more rarely"
    serving.world.down.clear()
    assert champion(serving.settle()) == "2"
