"""Real environments of one tiny package, installed without an index."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from commands import until
from mlplat import environment
from mlplat.environment import InstallError

INSTALLERS = ["uv", "pip"]


def wheel(folder: Path, name: str, version: str = "1.0") -> Path:
    """Write a wheel of one module by hand; return its path."""
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for path, text in files.items()}
    record = f"{name}-{version}.dist-info/RECORD"
    lines = [f"{path},sha256={value.rstrip(b'=').decode()},{len(files[path])}\n" for path, value in hashes.items()]
    folder.mkdir(exist_ok=True)
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in (files | {record: "".join(lines) + f"{record},,\n"}).items():
            archive.writestr(path, text)
    return made


def requirement(made: Path) -> str:
    name, version = made.name.split("-")[:2]
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(made.read_bytes()).hexdigest()}\n"


class Bench:
    """A folder with a requirements file, and what was said while it was installed."""

    def __init__(self, root: Path) -> None:
        self.wheels, self.folder = root / "wheels", root / "env"
        self.requirements = root / "tiny.txt"
        self.said: list[str] = []
        self.ask(wheel(self.wheels, "tinypkg"))

    def ask(self, *wheels: Path) -> None:
        self.requirements.write_text("".join(map(requirement, wheels)))

    def ensure(self) -> Path:
        return environment.ensure(self.requirements, self.folder, progress=self.said.append)

    def version(self) -> str:
        code = "import tinypkg; print(tinypkg.VERSION)"
        return subprocess.check_output([self.folder / "bin/python", "-c", code], text=True).strip()

    def marker(self) -> Path:
        return self.folder / environment.MARKER

    def left(self) -> list[str]:
        return sorted(entry.name for entry in self.folder.iterdir() if entry.name != environment.LOCK)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for tool in ("UV", "PIP"):
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(tmp_path / "wheels"))
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return Bench(tmp_path)


@pytest.fixture(params=INSTALLERS)
def installer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "pip":
        monkeypatch.setattr(environment, "find_uv", lambda: None)
    elif environment.find_uv() is None:
        pytest.skip("uv is not installed")
    return name


def test_it_holds_what_is_required_compiled_and_says_so(bench: Bench, installer: str) -> None:
    python = bench.ensure()
    assert python == bench.folder / "bin/python"
    assert bench.version() == "1.0"
    assert list(bench.folder.glob("lib/python*/site-packages/__pycache__/tinypkg.*.pyc"))
    assert bench.said[0] == "tiny: installing 1 package"
    assert bench.said[1].startswith("tiny: installed in ")


def test_the_next_one_of_the_same_requirements_is_not_compiled_again(bench: Bench) -> None:
    if environment.find_uv() is None:
        pytest.skip("uv is not installed")
    bench.ensure()
    environment.ensure(bench.requirements, bench.folder.with_name("next"), progress=bench.said.append)
    first, second = (
        next(folder.glob("lib/python*/site-packages/__pycache__/tinypkg.*.pyc"))
        for folder in (bench.folder, bench.folder.with_name("next"))
    )
    assert first.stat().st_ino == second.stat().st_ino


def test_a_complete_one_is_not_touched_again(bench: Bench) -> None:
    bench.ensure()
    before = bench.marker().stat().st_mtime_ns
    bench.said.clear()
    bench.ensure()
    assert bench.said == []
    assert bench.marker().stat().st_mtime_ns == before


def test_changed_requirements_are_installed_and_no_stale_module_runs(bench: Bench, installer: str) -> None:
    bench.ensure()
    bench.ask(wheel(bench.wheels, "tinypkg", "2.0"))
    bench.ensure()
    assert bench.version() == "2.0"


def test_what_is_no_longer_required_is_gone(bench: Bench, installer: str) -> None:
    bench.ask(wheel(bench.wheels, "tinypkg"), wheel(bench.wheels, "otherpkg"))
    bench.ensure()
    bench.ask(wheel(bench.wheels, "tinypkg"))
    bench.ensure()
    assert not list(bench.folder.glob("lib/python*/site-packages/otherpkg*"))


def test_a_wrong_hash_is_refused_and_leaves_nothing(bench: Bench, installer: str) -> None:
    text = bench.requirements.read_text()
    bench.requirements.write_text(text[:-65] + "0" * 64 + "\n")
    with pytest.raises(InstallError, match="tinypkg") as refusal:
        bench.ensure()
    assert "cannot install the environment `tiny`" in refusal.value.message
    assert "lock it again" in str(refusal.value.hint)
    assert bench.left() == []


def test_a_requirement_without_a_hash_is_refused(bench: Bench, installer: str) -> None:
    bench.requirements.write_text("tinypkg==1.0\n")
    with pytest.raises(InstallError):
        bench.ensure()
    assert bench.left() == []


def test_a_failed_update_leaves_nothing_that_looks_complete(bench: Bench) -> None:
    bench.ensure()
    bench.ask(wheel(bench.wheels, "absent"))
    (bench.wheels / "absent-1.0-py3-none-any.whl").unlink()
    with pytest.raises(InstallError):
        bench.ensure()
    assert bench.left() == []


def test_an_interrupted_build_is_started_over(bench: Bench) -> None:
    bench.ensure()
    bench.marker().write_text(json.dumps({"state": "building"}))
    (bench.folder / "half").mkdir()
    bench.ensure()
    assert bench.version() == "1.0"
    assert not (bench.folder / "half").exists()


def test_an_unreadable_marker_means_incomplete(bench: Bench) -> None:
    bench.ensure()
    bench.marker().write_text("{")
    bench.ensure()
    assert bench.version() == "1.0"


def test_an_environment_whose_interpreter_is_gone_is_made_again(bench: Bench) -> None:
    python = bench.ensure()
    python.unlink()
    python.symlink_to("/nowhere/python")
    bench.ensure()
    assert bench.version() == "1.0"


def test_a_folder_of_somebody_else_is_left_alone(bench: Bench) -> None:
    bench.folder.mkdir()
    (bench.folder / "thesis.txt").write_text("years of work")
    with pytest.raises(InstallError, match="was not made by mlplat"):
        bench.ensure()
    assert (bench.folder / "thesis.txt").read_text() == "years of work"


def test_of_two_at_once_one_builds_and_the_other_waits(bench: Bench) -> None:
    both = [threading.Thread(target=bench.ensure), threading.Thread(target=bench.ensure)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(120)
    assert bench.version() == "1.0"
    assert sum("installing" in line for line in bench.said) == 1


def stub(bench: Bench, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program in uv's place, for what a real installer cannot be made to do at will."""
    program = bench.requirements.with_name("installer")
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(environment, "find_uv", lambda: str(program))


def test_a_killed_builder_keeps_others_out_until_its_installer_has_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, ready = bench.requirements.with_name("gate"), bench.requirements.with_name("ready")
    os.mkfifo(gate)
    with monkeypatch.context() as patch:
        stub(bench, patch, f"touch {ready}; read line < {gate}; exit 3")
    code = (
        "from mlplat import environment as e; from pathlib import Path; "
        f"e.find_uv = lambda: {str(ready.with_name('installer'))!r}; "
        f"e.ensure(Path({str(bench.requirements)!r}), Path({str(bench.folder)!r}), progress=print)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as builder:
        until(ready.exists)
        builder.send_signal(signal.SIGKILL)
    second = threading.Thread(target=bench.ensure)
    second.start()
    until(lambda: bench.said)
    assert bench.said == ["tiny: waiting for another process to install it"]
    gate.write_text("go on\n")
    second.join(120)
    assert bench.version() == "1.0"


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("error: failed to write to file: No space left on device (os error 28)", "free some space where"),
        ("error: Failed to fetch: a page\\n  cause: dns error", "the package index cannot be reached"),
        ("The virtual environment was not created successfully because ensurepip is not available", "python3-venv"),
    ],
)
def test_a_failure_shows_the_last_lines_and_what_to_do(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, output: str, hint: str
) -> None:
    stub(bench, monkeypatch, f"seq 100; printf '{output}\\n' >&2; exit 2")
    with pytest.raises(InstallError) as failure:
        bench.ensure()
    assert failure.value.message.splitlines()[-1].strip() == output.rpartition("\\n")[2].strip()
    assert len(failure.value.message.splitlines()) == 1 + environment.TAIL_LINES
    assert hint in str(failure.value.hint)
    assert bench.left() == []


def test_an_installer_that_says_nothing_is_reported_by_its_exit_code(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(bench, monkeypatch, "exit 7")
    with pytest.raises(InstallError, match="exit code 7"):
        bench.ensure()


def test_a_folder_that_cannot_be_made_is_a_readable_error(bench: Bench) -> None:
    bench.folder.write_text("a file")
    with pytest.raises(InstallError, match="cannot make the environment"):
        bench.ensure()


def test_missing_requirements_are_a_readable_error(bench: Bench) -> None:
    bench.requirements.unlink()
    with pytest.raises(InstallError, match="No such file"):
        bench.ensure()


def test_a_service_s_folder_changes_with_its_requirements(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "REQUIREMENTS", bench.requirements.parent)
    first = environment.service("tiny", progress=bench.said.append)
    bench.ask(wheel(bench.wheels, "tinypkg", "2.0"))
    second = environment.service("tiny", progress=bench.said.append)
    assert first.parent.parent.name.startswith("tiny-")
    assert first.exists()
    assert first != second


@pytest.mark.parametrize("name", ["features", "gateway", "platform", "serving", "tracking"])
def test_every_service_s_requirements_are_there_and_hashed(name: str) -> None:
    text = (environment.REQUIREMENTS / f"{name}.txt").read_text()
    assert text.count("==") <= text.count("--hash=sha256:")


def test_children_get_no_variable_that_would_mislead_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("KEPT", "x")
    variables = environment.inherited()
    assert variables["KEPT"] == "x"
    assert not {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"} & set(variables)


def test_the_interpreter_is_not_the_one_of_this_environment() -> None:
    assert not Path(environment.base_python()).is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix


def test_a_locked_version_is_found_by_its_whole_name() -> None:
    assert environment.pinned("images/tracking", "mlflow") == environment.pinned("tracking", "mlflow")
    with pytest.raises(ValueError, match="locked without `mlf`"):
        environment.pinned("images/tracking", "mlf")
