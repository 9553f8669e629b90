from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlplat import services
from mlplat.spec.platform import GatewaySpec, PlatformSpec
from mlplat.supervision import Supervisor
from mlplat.targets.local.folders import service_record
from mlplat.targets.local.foundation import foundation
from mlplat.targets.local.provider import KINDS
from mlplat.targets.local.provider.kind import UNKNOWN, compare
from mlplat.targets.local.resolve import Resolved, resolve, text

FOUNDATION, SERVICE, CONNECTION = (KINDS[f"mlplat:local:{noun}"] for noun in ("Foundation", "Service", "Connection"))


def say(_text: str) -> None:
    """Take a line for people."""


def written(spec: PlatformSpec) -> dict[str, Any]:
    return {"spec": json.loads(spec.model_dump_json()), "stack": "local"}


def gateway(spec: PlatformSpec) -> Resolved:
    value = next(each for each in services.of(spec) if each.name == "gateway")
    return resolve(value, spec, foundation(spec, "local"))


def lay(resolved: Resolved) -> None:
    """Put a service's files on disk as `bring` does, without starting anything."""
    state = Path(resolved.program.directory)
    contents = {**resolved.files, **resolved.live, str(service_record(state, resolved.name)): resolved.document()}
    for path, content in contents.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text(content))
    supervisor = Supervisor(state)
    supervisor.programs.mkdir(parents=True, exist_ok=True)
    supervisor.write("platform", [resolved.program])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, {}),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, {"a.b": "update"}),
        ({"a": 1}, {"a": 1, "b": 2}, {"b": "add"}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": "delete"}),
        ({"f": {"/x/y.json": {"k": 1}}}, {"f": {"/x/y.json": {"k": 2}}}, {'f["/x/y.json"].k': "update"}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": "update"}),
        ({"a": {"b": 1}}, {"a": UNKNOWN}, {"a": "update"}),
        ({"a": None}, {"a": {"b": 1}}, {"a": "add"}),
        ({"a": None}, {}, {}),
    ],
)
def test_every_leaf_that_differs_is_named_by_its_path(old: Any, new: Any, expected: dict[str, str]) -> None:
    assert dict(compare(old, new)) == expected


def test_a_service_is_the_same_after_the_engine_made_floats_of_its_numbers() -> None:
    document = gateway(PlatformSpec()).document()

    def floats(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: floats(item) for key, item in value.items()}
        if isinstance(value, list):
            return [floats(item) for item in value]
        return float(value) if type(value) is int else value

    assert Resolved.parse(floats(document)) == Resolved.parse(document)
    assert text(Resolved.parse(floats(document)).document()) == text(document)


def test_a_foundation_in_a_preview_makes_nothing_and_knows_where_it_will_be() -> None:
    spec = PlatformSpec(clock=datetime(2013, 7, 1, tzinfo=UTC))
    identity, outputs = FOUNDATION.create(written(spec), say, preview=True)
    assert identity == "mlplat/local"
    assert outputs["state"] == foundation(spec, "local").state
    assert outputs["clock"] == UNKNOWN
    assert not Path(outputs["state"]).exists()


def test_a_foundation_is_read_back_as_it_was_made() -> None:
    news = written(PlatformSpec(gateway=GatewaySpec(threads=2)))
    identity, outputs = FOUNDATION.create(news, say, preview=False)
    found = FOUNDATION.read(identity, {})
    assert found is not None
    assert dict(compare(found.inputs, news)) == {}
    assert dict(compare(found.outputs, outputs)) == {}
    assert not FOUNDATION.diff(identity, news, news).paths
    assert FOUNDATION.diff(identity, news, written(PlatformSpec())).paths == {"spec.gateway.threads": "update"}


def test_a_foundation_under_another_name_is_another_one() -> None:
    news = written(PlatformSpec())
    identity, _ = FOUNDATION.create(news, say, preview=False)
    assert FOUNDATION.diff(identity, news, written(PlatformSpec(name="other"))).replaces


def test_a_broken_record_is_a_difference_and_said() -> None:
    news = written(PlatformSpec())
    identity, outputs = FOUNDATION.create(news, say, preview=False)
    (Path(outputs["state"]) / "plan.json").write_text("{")
    found = FOUNDATION.diff(identity, news, news)
    assert found.paths
    assert "plan.json" in str(found.why)


def test_a_service_that_is_not_here_differs() -> None:
    news = gateway(PlatformSpec()).document()
    found = SERVICE.diff("mlplat/local/gateway", news, news)
    assert found.paths == {"running": "update"}
    assert found.why == "is not installed here"
    assert SERVICE.read("mlplat/local/gateway", {}) is None


def test_a_service_is_read_back_without_the_engines_memory() -> None:
    resolved = gateway(PlatformSpec())
    lay(resolved)
    found = SERVICE.read("mlplat/local/gateway", {})
    assert found is not None
    assert dict(compare(found.inputs, resolved.document())) == {}
    assert found.outputs["running"] is False


def test_what_was_changed_here_is_told_from_what_the_engine_knows() -> None:
    resolved = gateway(PlatformSpec())
    lay(resolved)
    path = next(iter(resolved.files))
    Path(path).write_text(text({**resolved.files[path], "stats_flush_on_admin": False}))
    news = resolved.document()
    paths = SERVICE.diff("mlplat/local/gateway", news, news).paths
    assert paths == {"running": "update", f'files["{path}"].stats_flush_on_admin': "update"}


def test_odd_inputs_are_refused_by_their_names() -> None:
    assert FOUNDATION.check({"spec": {"gateway": {"port": 1}}, "stack": "local"})[0][0] == "spec"
    assert SERVICE.check({"program": {}})[0][0] == "program"
    assert CONNECTION.check({"platform": "x"})[0][0] == "platform"


def test_a_connection_is_written_found_and_removed() -> None:
    news = {
        **dict.fromkeys(("target", "tracking", "gateway", "store", "mlplat"), "x"),
        "platform": "mlplat",
        "stack": "local",
        "version": 1.0,
    }
    assert CONNECTION.diff("mlplat/local", news, news).why == "is not written"
    identity, outputs = CONNECTION.create(news, say, preview=True)
    assert not Path(outputs["path"]).exists()
    CONNECTION.create(news, say, preview=False)
    assert not CONNECTION.diff(identity, news, news).paths
    CONNECTION.delete(identity, outputs)
    assert CONNECTION.read(identity, {}) is None
