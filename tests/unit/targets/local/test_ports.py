from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator

import pytest

from commands import free_ports
from mlplat.errors import StateError
from mlplat.files import state_dir
from mlplat.services import Http, Service
from mlplat.spec.platform import ControllerSpec, FeatureServerSpec, GatewaySpec, PlatformSpec, TrackingSpec
from mlplat.targets.local.folders import PLAN_FILE
from mlplat.targets.local.foundation import provision, record
from mlplat.targets.local.ports import PortTakenError, assigned, holder, is_free, refuse_taken


def test_a_taken_port_is_refused_with_its_holder_and_its_key(free_port: int) -> None:
    service = Service("gateway", "gateway", ("envoy",), Http("/ready"), ports={"admin": free_port})
    refuse_taken([service])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        assert not is_free(free_port)
        assert f"(pid {os.getpid()})" in str(holder(free_port))
        with pytest.raises(
            StateError, match=f"port {free_port}, which `gateway` needs, is held by .*pid {os.getpid()}"
        ) as caught:
            refuse_taken([service])
        refuse_taken([service], {free_port})
    assert "`gateway.admin_port`" in str(caught.value.hint)
    assert is_free(free_port)


@pytest.fixture
def auto() -> PlatformSpec:
    """Return a platform whose ports are chosen, from numbers on that no other process of tests takes.

    From the usual ones on, a platform that another test starts meanwhile would be met.
    """
    first = free_ports(20)[::4]
    return PlatformSpec(
        ports="auto",
        tracking=TrackingSpec.model_construct(set(), port=first[0]),
        gateway=GatewaySpec.model_construct(set(), port=first[1], admin_port=first[2]),
        controller=ControllerSpec.model_construct(set(), port=first[3]),
        features=FeatureServerSpec.model_construct(set(), port=first[4]),
    )


def keep(spec: PlatformSpec, stack: str) -> PlatformSpec:
    """Choose and record, as `up` does."""
    made = assigned(spec, stack)
    record(made, stack, provision(made, stack))
    return made


def test_a_written_port_is_never_changed() -> None:
    spec = PlatformSpec(ports="auto", tracking=TrackingSpec(port=6001))
    assert assigned(spec, "local").tracking.port == 6001
    assert assigned(PlatformSpec(), "local") == PlatformSpec()


def test_a_chosen_spec_is_chosen_once(auto: PlatformSpec) -> None:
    made = assigned(auto, "local")
    assert assigned(made, "local") == made
    assert assigned(PlatformSpec.model_validate_json(made.model_dump_json()), "local") == made


def test_looking_records_nothing_and_a_recorded_choice_stays(auto: PlatformSpec) -> None:
    with listening(assigned(auto, "local").tracking.port):
        first = keep(auto, "local")
    assert not (state_dir() / "mlplat" / "other").exists()
    # The number before it is free again; nobody wants the address to move for that.
    assert assigned(auto, "local") == first


def test_two_platforms_never_get_the_same_port(auto: PlatformSpec) -> None:
    first = keep(auto, "one").port_keys()
    second = keep(auto, "two").port_keys()
    assert not set(first.values()) & set(second.values())
    assert abs(first["serving.first_port"] - second["serving.first_port"]) >= 100
    assert keep(auto, "one").port_keys() == first


def test_a_recorded_port_that_a_stranger_took_is_given_up(auto: PlatformSpec) -> None:
    first = keep(auto, "local")
    with listening(first.gateway.port):
        second = assigned(auto, "local")
    assert second.gateway.port != first.gateway.port
    assert second.tracking.port == first.tracking.port


def test_of_two_that_choose_at_once_the_second_is_refused(auto: PlatformSpec) -> None:
    one, two = assigned(auto, "one"), assigned(auto, "two")
    assert one.port_keys() == two.port_keys()
    record(one, "one", provision(one, "one"))
    with pytest.raises(PortTakenError, match="was taken by another platform"):
        record(two, "two", provision(two, "two"))
    keep(auto, "two")


def test_a_platform_that_gets_a_feature_server_keeps_its_other_ports(auto: PlatformSpec) -> None:
    before = keep(auto, "local").port_keys()
    assert "features.port" not in before
    more = auto.model_copy(update={"features": auto.features.model_copy(update={"enabled": True})})
    after = keep(more, "local").port_keys()
    assert before.items() <= after.items()
    # Another one that has it as well gets another port, and one that has none takes none away.
    assert keep(more, "two").port_keys()["features.port"] != after["features.port"]
    keep(auto, "three")


def test_ports_that_an_older_version_recorded_stay(auto: PlatformSpec) -> None:
    first = keep(auto, "local")
    path = state_dir() / "mlplat" / "local" / PLAN_FILE
    written = json.loads(path.read_bytes())
    del written["spec"]["features"]
    path.write_text(json.dumps(written))
    assert assigned(auto, "local") == first
    # And are known to the others.
    assert not set(assigned(auto, "two").port_keys().values()) & set(first.port_keys().values())


@contextlib.contextmanager
def listening(port: int) -> Iterator[None]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield
