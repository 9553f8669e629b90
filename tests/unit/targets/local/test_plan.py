from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mlplat import services
from mlplat.services import Http, Ref, Service
from mlplat.spec.platform import FeatureServerSpec, GatewaySpec, LogSpec, PlatformSpec, ServingSpec, TrackingSpec
from mlplat.supervision import Process, Program
from mlplat.targets.local import watchdog
from mlplat.targets.local.folders import service_record
from mlplat.targets.local.foundation import foundation
from mlplat.targets.local.install import connection
from mlplat.targets.local.plan import Change, record_changes, service_changes, watchdog_changes
from mlplat.targets.local.resolve import Resolved, resolve, text


def resolved(spec: PlatformSpec) -> dict[str, Resolved]:
    base = foundation(spec, "local")
    return {service.name: resolve(service, spec, base) for service in services.of(spec)}


def installed(spec: PlatformSpec) -> dict[str, Program]:
    """Put a platform's files on disk, as an `up` does, and return its programs."""
    made = resolved(spec)
    for each in made.values():
        for path, content in {**each.files, **each.live, **each.seeds}.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(text(content))
    return {name: each.program for name, each in made.items()}


def running(programs: dict[str, Program], state: str = "RUNNING") -> dict[str, Process]:
    return {name: Process(name, state, 1, 0.0, "") for name in programs}


def changes(before: PlatformSpec, after: PlatformSpec) -> list[Change]:
    there = installed(before)
    return service_changes(resolved(after), there, running(there))


def said(found: list[Change]) -> list[tuple[str, str]]:
    return [(change.action, change.name) for change in found]


def test_nothing_there_creates_everything() -> None:
    found = service_changes(resolved(PlatformSpec()), {}, {})
    assert said(found) == [("create", "controller"), ("create", "gateway"), ("create", "tracking")]


def test_a_feature_server_is_a_service_as_any_other_where_it_is_wanted() -> None:
    wanted = PlatformSpec(features=FeatureServerSpec(enabled=True, port=6570))
    assert ("create", "features") in said(changes(PlatformSpec(), wanted))
    assert ("delete", "features") in said(changes(wanted, PlatformSpec()))
    program = resolved(wanted)["features"].program
    assert program.argv[-4:] == ("--host", "127.0.0.1", "--port", "6570")
    kept = str(Path(foundation(wanted, "local").state) / "features")
    assert kept in program.argv
    # Feast writes moments down as a clock on the wall shows them.
    assert program.env["TZ"] == "UTC"
    told = connection(wanted, "local", foundation(wanted, "local"))
    assert (told.features, connection(PlatformSpec(), "local", foundation(wanted, "local")).features) == (
        "http://127.0.0.1:6570",
        None,
    )


def test_the_same_spec_changes_nothing() -> None:
    assert changes(PlatformSpec(), PlatformSpec()) == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        # The controller is told where tracking is, and follows that without a restart.
        (PlatformSpec(tracking=TrackingSpec(port=5001)), [("update", "controller"), ("restart", "tracking")]),
        (PlatformSpec(gateway=GatewaySpec(threads=2)), [("restart", "gateway")]),
        (PlatformSpec(gateway=GatewaySpec(port=8081)), [("update", "controller"), ("restart", "gateway")]),
        (PlatformSpec(serving=ServingSpec(first_port=19000)), [("update", "controller")]),
        (
            PlatformSpec(logs=LogSpec(megabytes=20)),
            [("restart", "controller"), ("restart", "gateway"), ("restart", "tracking")],
        ),
    ],
)
def test_a_changed_setting_touches_only_what_it_concerns(after: PlatformSpec, expected: list[tuple[str, str]]) -> None:
    assert said(changes(PlatformSpec(), after)) == expected


def test_a_change_names_what_differs() -> None:
    found = changes(PlatformSpec(), PlatformSpec(tracking=TrackingSpec(port=5001)))
    assert [change.fields for change in found] == [("settings.json",), ("command",)]


def test_what_is_written_but_does_not_run_is_started() -> None:
    there = installed(PlatformSpec())
    assert {change.action for change in service_changes(resolved(PlatformSpec()), there, {})} == {"start"}
    fatal = service_changes(resolved(PlatformSpec()), there, running(there, "FATAL"))
    assert {change.action for change in fatal} == {"start"}


def test_a_service_that_is_no_longer_wanted_is_deleted() -> None:
    there = installed(PlatformSpec())
    old = dataclasses.replace(there["tracking"], name="old")
    found = service_changes(resolved(PlatformSpec()), {**there, "old": old}, running(there))
    assert said(found) == [("delete", "old")]


def test_every_reference_gets_a_value() -> None:
    for each in resolved(PlatformSpec()).values():
        assert "Ref(" not in str([each.program, each.files, each.live, each.seeds])
        assert all(isinstance(argument, str) for argument in each.program.argv)


def test_an_unknown_reference_is_a_fault_of_the_program() -> None:
    spec = PlatformSpec()
    odd = Service("odd", "platform", ("python", Ref("nowhere")), Http("/"))
    with pytest.raises(KeyError, match="nowhere"):
        resolve(odd, spec, foundation(spec, "local"))


def test_the_controller_reads_what_the_target_writes() -> None:
    from mlplat.controller.settings import read

    spec = PlatformSpec()
    installed(spec)
    path = next(iter(resolved(spec)["controller"].live))
    settings = read(Path(path))
    assert settings.store == f"sqlite:///{settings.state}/endpoints.db"
    assert settings.first_port == spec.serving.first_port
    assert Path(settings.xds) == settings.state / "gateway" / "xds"


def test_only_loopback_is_bound() -> None:
    for each in resolved(PlatformSpec()).values():
        assert "0.0.0.0" not in str([each.program, each.files])


def test_the_watchdog_is_kept_as_it_should_be() -> None:
    wanted = watchdog.program(Path("/state"), Path("/code"))
    there = dataclasses.replace(wanted, env={"PYTHONPATH": "/old"})
    assert watchdog_changes(wanted, wanted, awake=True) == []
    assert said(watchdog_changes(wanted, None, awake=False)) == [("create", "watchdog")]
    assert said(watchdog_changes(wanted, wanted, awake=False)) == [("start", "watchdog")]
    # An update, and no restart: nobody is asked.
    assert [(each.action, each.fields[0]) for each in watchdog_changes(wanted, there, awake=True)] == [
        ("update", "PYTHONPATH")
    ]


def test_a_record_that_cannot_be_read_is_written_again(tmp_path: Path) -> None:
    assert record_changes(tmp_path, ["tracking"]) == []
    path = service_record(tmp_path, "tracking")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert record_changes(tmp_path, ["tracking"]) == []
    path.write_text("{")
    assert record_changes(tmp_path, ["tracking", "gateway"]) == [
        Change("update", "file", "tracking.json", ("is no JSON",))
    ]
