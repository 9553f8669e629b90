from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from mlplat.controller import wishes
from mlplat.controller.document import Endpoint, EndpointSpec, Force
from mlplat.controller.reconcile import Reconciler
from mlplat.controller.registry import GateReport
from mlplat.controller.store import SqliteStore, Wish
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy

from .conftest import LATE, Controlled, Killed, World


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
    serving.world.processes[Name("flights", "gone")] = {"r1": serving.endpoint().status.revisions[0]}
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


def _lived(folder: Path, story: Story, killed_at: int) -> tuple[object, int]:
    """Live a story with the controller killed at its nth action; return the end state and the actions it took."""
    world = World(folder / "models")
    for version, behaviour in {"1": {}, "2": {}, "3": {"milliseconds": 90.0}}.items():
        world.register(version, **behaviour)
    with SqliteStore(folder / "endpoints.db") as store:
        controlled = Controlled(world, store, Reconciler(store, world, lambda: world, world.moment))
        controlled.wish(deploy("1"))
        controlled.settle()
        for _ in range(5):
            controlled.reconciler.run()
        world.calls, world.killed_at = 0, killed_at
        story(controlled)
        for _ in range(400):
            try:
                pace = controlled.reconciler.run()
            except Killed:
                controlled.restart()
                continue
            world.elapse({"now": 0.0, "soon": 0.2, "later": 1.0}[pace])
        assert world.lost == 0, "a request met a route without a process"
        end = store.get(LATE)
        document = end and [(item.number, item.version, item.state) for item in end.status.revisions]
        state = end and (end.status.phase, end.status.champion, end.status.challenger, end.status.weight, document)
        running = sorted(label for revisions in world.processes.values() for label in revisions)
        return (state, running, world.plan, world.aliases), world.calls


@pytest.mark.parametrize("story", [rolled_out, breached, deleted], ids=lambda story: story.__name__)
def test_a_controller_killed_at_any_action_ends_in_the_same_state(tmp_path: Path, story: Story) -> None:
    live = functools.partial(_lived, story=story)
    expected, actions = live(tmp_path / "whole", killed_at=-1)
    assert actions > 3
    for action in range(1, actions + 1):
        assert live(tmp_path / str(action), killed_at=action)[0] == expected, f"killed at action {action}"
