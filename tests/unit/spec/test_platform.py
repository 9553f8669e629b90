from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from mlplat.errors import SpecError, UsageError
from mlplat.services.controller import settings
from mlplat.spec.platform import PlatformSpec, parse_platform, read_platform, read_stack, stack_file

ROOT = Path(__file__).parents[3]


def write(folder: Path, body: str, stack: str = "local") -> Path:
    path = folder / "stacks" / f"Pulumi.{stack}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"config:\n  mlplat:platform:\n{body}")
    return path


def problems(folder: Path, body: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read_platform(write(folder, body))
    assert caught.value.exit_code == 2
    return [f"{p.line}: {p.path}: {p.message}" for p in caught.value.problems]


def test_an_empty_object_is_all_defaults(tmp_path: Path) -> None:
    assert read_platform(write(tmp_path, "    {}\n")) == PlatformSpec()


def test_every_problem_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path, "    gateway:\n      port: http\n      thread: 2\n    tracking: {port: 80}\n    nam: x\n"
    )
    assert len(found) == 4
    assert '4: config.mlplat:platform.gateway.port: input should be a valid integer, not "http"' in found[0]
    assert "5: config.mlplat:platform.gateway.thread: unknown key" in found[1]
    assert "6: config.mlplat:platform.tracking.port" in found[2]
    assert "7: config.mlplat:platform.nam: unknown key" in found[3]


def test_an_unknown_key_comes_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read_platform(write(tmp_path, "    gateway: {prot: 8080}\n"))
    assert "did you mean `port`? `mlplat explain gateway` lists the keys" in str(caught.value.hint)


@pytest.mark.parametrize(
    "value", ["'8080'", "8080.5", "true", "yes", "22:30", "0x1F90 # hex is an integer of YAML 1.2\n      threads: x"]
)
def test_values_are_never_converted(tmp_path: Path, value: str) -> None:
    assert problems(tmp_path, f"    gateway:\n      port: {value}\n")


def test_two_services_on_one_port_are_refused(tmp_path: Path) -> None:
    assert (
        "`tracking.port` and `gateway.port` are the same port" in problems(tmp_path, "    tracking: {port: 8080}\n")[0]
    )


def test_a_secret_inside_the_object_is_refused(tmp_path: Path) -> None:
    assert "would land in the state" in problems(tmp_path, "    tracking:\n      port: {secure: v1:abc}\n")[0]


def test_a_newer_document_is_refused_before_its_unknown_keys(tmp_path: Path) -> None:
    assert problems(tmp_path, "    version: 3\n    new_key: 1\n") == ["None: version: is 3, and this mlplat knows 2"]
    with pytest.raises(SpecError, match="the engine's: version: is 3, and this mlplat knows 2"):
        parse_platform({"version": 3, "new_key": 1}, "the engine's")


def test_an_older_document_is_read_with_one_warning_whoever_loaded_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "    version: 1\n    serving: {prediction_log: {keep_megabytes: 7}}\n")
    read = [read_platform(path) for _ in range(2)]
    told = capsys.readouterr()
    assert told.err.startswith(f"warning: {path} is of version 1 and read as version 2; `mlplat up` shows")
    assert (told.err.count("\n"), told.out) == (1, "")
    loaded = parse_platform({"version": 1, "serving": {"prediction_log": {"keep_megabytes": 7}}}, "the engine's")
    assert capsys.readouterr().err.startswith("warning: the engine's is of version 1")
    newest = write(tmp_path, "    version: 2\n    serving: {prediction_log: {retention: {megabytes: 7}}}\n", "dev")
    assert [*read, loaded] == [read_platform(newest)] * 3
    assert read[0].serving.prediction_log.retention.days is None
    assert capsys.readouterr().err == ""


def test_a_problem_of_a_moved_key_names_the_line_it_was_written_on(tmp_path: Path) -> None:
    found = problems(tmp_path, "    version: 1\n    serving:\n      prediction_log:\n        keep_megabytes: many\n")
    assert [line.partition(":")[0] for line in found] == ["6"]


def test_loaded_data_is_read_as_the_file_is(tmp_path: Path) -> None:
    data = {"name": "x", "gateway": {"port": 8088}, "clock": "2013-07-01T00:00:00Z"}
    assert parse_platform(data, "x") == read_platform(write(tmp_path, f"    {json.dumps(data)}\n"))
    assert parse_platform(None, "x") == parse_platform({}, "x") == PlatformSpec()
    with pytest.raises(SpecError, match="would land in the state"):
        parse_platform({"tracking": {"port": {"secure": "v1:abc"}}}, "x")


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    found = problems(tmp_path, "    name: 'x\n")
    assert len(found) == 1
    assert "is no YAML" in found[0]


def test_a_file_without_the_object_says_how_to_begin(tmp_path: Path) -> None:
    path = write(tmp_path, "    {}\n")
    path.write_text("config: {}\n")
    with pytest.raises(SpecError, match=r"config\.mlplat:platform: is required"):
        read_platform(path)


def test_a_clock_is_written_as_a_time_with_a_zone(tmp_path: Path) -> None:
    read = read_platform(write(tmp_path, "    clock: 2013-07-01T00:00:00Z\n"))
    assert read.clock is not None
    assert read.clock.isoformat() == "2013-07-01T00:00:00+00:00"
    quoted = read_platform(write(tmp_path, "    clock: '2013-07-01T00:00:00Z'\n"))
    assert quoted == read
    assert problems(tmp_path, "    clock: 2013-07-01\n")


def test_the_nearest_stack_file_above_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, "    {}\n", "dev")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert stack_file("dev", deep) == path
    assert stack_file("local", deep) is None


def test_only_local_needs_no_file(tmp_path: Path) -> None:
    assert read_stack("local", tmp_path) == (PlatformSpec(), None)
    with pytest.raises(UsageError, match=r"there is no stacks/Pulumi\.dev\.yaml"):
        read_stack("dev", tmp_path)
    with pytest.raises(UsageError, match="cannot be the name of a stack"):
        read_stack("../etc", tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "stacks").glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_the_stacks_of_this_repository_hold_and_fit_the_schema(path: Path) -> None:
    from ruamel.yaml import YAML

    read_platform(path)
    assert path.read_text().startswith("# yaml-language-server: $schema=./schema.json\n")
    jsonschema.validate(YAML(typ="safe").load(path), json.loads((ROOT / "stacks" / "schema.json").read_text()))


def test_every_key_has_a_sentence() -> None:
    from mlplat.spec.base import Spec
    from mlplat.spec.explain import keys
    from mlplat.spec.project import ProjectSpec

    def silent(model: type[Spec], path: str) -> list[str]:
        below = [item for key in keys(model) if key.group for item in silent(key.group, f"{path}.{key.name}")]
        return [f"{path}.{key.name}" for key in keys(model) if not key.sentence.endswith(".")] + below

    assert silent(PlatformSpec, "platform") + silent(ProjectSpec, "project") == []


def test_where_alerts_go_is_a_file_and_the_address_itself_is_not_repeated(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "    alerts: {webhook_file: https://hooks.example.com/T0PSECRET}\n")
    assert "alerts.webhook_file: is no absolute path" in found
    assert "T0PSECRET" not in found
    spec = parse_platform({"version": 2, "alerts": {"webhook_file": "/run/secrets/webhook"}}, "a test")
    assert settings(spec)["webhook"] == "/run/secrets/webhook"
    assert "webhook" not in settings(PlatformSpec())


def test_on_a_cluster_somebody_else_tells_of_alerts() -> None:
    cluster = {"version": 2, "target": "kubernetes", "engine": {}, "alerts": {"webhook_file": "/x"}}
    with pytest.raises(SpecError, match=r"kubernetes.monitoring.receivers"):
        parse_platform({**cluster, "kubernetes": {"context": "c", "production": False}}, "a test")
