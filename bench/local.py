"""The platform's own times: commands, standing up, memory, and how it grows with its endpoints."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench import servers
from bench.load import measure, warm
from bench.models import PROJECT, ROOT, Bundle, Sample
from bench.process import memory
from bench.results import Duel, Growth, Results, Timed
from bench.speed import Pace, Say, Target, aim, check, duel, stand
from bench.targets import GATEWAY
from mlplat.errors import MlplatError
from mlplat.labels import Name

STACK = "local"
COMMAND_SECONDS = 300
DEMO_SECONDS = 1200
SIZES = (1, 5, 20)
"""Numbers of endpoints that growth is looked at with."""
LOOK_SECONDS = 5.0
"""How long an unchanged platform is looked at."""
PASSES = re.compile(r"^mlplat_controller_pass_seconds_(sum|count) (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Cli:
    """The installed command line, with a platform's folders of its own."""

    folder: Path

    def __post_init__(self) -> None:
        path = self.folder / "stacks" / f"Pulumi.{STACK}.yaml"
        path.parent.mkdir(parents=True)
        spec = {"version": 2, "ports": "auto"}
        path.write_text(json.dumps({"config": {"mlplat:platform": spec}}))  # JSON is YAML

    def run(self, *argv: str, cwd: Path | None = None, seconds: float = COMMAND_SECONDS) -> str:
        """Run a command; return what it prints. Raises `MlplatError` when it fails."""
        program = Path(sys.executable).parent / "mlplat"
        return run([str(program), *argv], cwd or self.folder, self.env, seconds)

    def timed(self, *argv: str, cwd: Path | None = None) -> float:
        """Run a command; return the seconds it took."""
        started = time.perf_counter()
        self.run(*argv, cwd=cwd)
        return time.perf_counter() - started

    @property
    def env(self) -> dict[str, str]:
        """Return the variables that commands run with; environments of services are this checkout's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLPLAT_")}
        return {
            **kept,
            "MLPLAT_STATE_DIR": str(self.folder / "state"),
            "MLPLAT_CONFIG_DIR": str(self.folder / "config"),
            "MLPLAT_DATA_DIR": os.environ["MLPLAT_DATA_DIR"],
        }

    def endpoints(self) -> dict[str, str]:
        """Return the address of each service."""
        found: dict[str, str] = json.loads(self.run("outputs", "--json"))["endpoints"]
        return found

    def pids(self) -> dict[str, int]:
        """Return process ids by name."""
        return {row["name"]: row["pid"] for row in json.loads(self.run("status", "--json")) if row["pid"]}

    def tree(self) -> list[psutil.Process]:
        """Return every process of the platform: the supervisor's and all below it."""
        supervisor = psutil.Process(self.pids()["gateway"]).parent()
        return [supervisor, *supervisor.children(recursive=True)] if supervisor else []


def run(argv: list[str], cwd: Path, env: dict[str, str], seconds: float) -> str:
    """Run a program to its end; return what it prints. Raises `MlplatError` with the end of what it said."""
    done = subprocess.run(
        argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        said = "\n".join(f"  {line}" for line in (done.stderr or done.stdout).splitlines()[-10:])
        raise MlplatError(f"`{' '.join([Path(argv[0]).name, *argv[1:]])}` ended with {done.returncode}:\n{said}")
    return done.stdout


def look(
    samples: dict[str, Sample], pythons: servers.Pythons, folder: Path, pace: Pace, results: Results, say: Say
) -> None:
    """Time a platform's commands and its growth into the results. Raises `MlplatError`."""
    _commands(folder / "commands", pace, results, say)
    with _standing(folder / "platform", pace, results, say) as cli:
        flights, cancer = samples["flights"], samples["cancer"]
        register(cli, flights.bundles["onnx"], Name("flights", "late"))
        for form in ("onnx", "skops"):
            register(cli, cancer.bundles[form], Name(PROJECT, "cancer"))
        seconds = cli.timed("deploy", "flights/late", "--version", "1", "--strategy", "direct")
        _grown(cli, flights, 1, seconds, results, say)
        results.gateway += _gateway(cli, cancer, pythons, folder, pace, say)
        for size in SIZES[1:]:
            _grow(cli, flights, size, results, say)


def _commands(folder: Path, pace: Pace, results: Results, say: Say) -> None:
    cli = Cli(folder)
    _time(results, say, "help", 2 * pace.commands + 1, lambda _: cli.timed("--help"))
    _time(results, say, "new", pace.commands, lambda turn: cli.timed("new", f"project-{turn}", "--defaults"))


def _time(results: Results, say: Say, what: str, times: int, once: Callable[[int], float]) -> None:
    results.timed.append(Timed(what, tuple(once(turn) for turn in range(times))))
    say(f"{what}: {results.timed[-1].median:.2f} s")


@contextlib.contextmanager
def _standing(folder: Path, pace: Pace, results: Results, say: Say) -> Iterator[Cli]:
    """Stand a platform up anew several times; let the last one stand, and end it afterwards."""
    cli = Cli(folder)

    def once(turn: int) -> float:
        if turn:
            cli.run("down", "--delete-data", "--yes")
        return cli.timed("up", "--yes")

    end = ("down", "--delete-data", "--yes")
    try:
        _time(results, say, "up", pace.commands, once)
        _time(results, say, "second up", pace.commands, lambda _: cli.timed("up"))
        yield cli
    except BaseException:
        with contextlib.suppress(MlplatError):  # what went wrong before is what matters
            cli.run(*end)
        raise
    _time(results, say, "down", 1, lambda _: cli.timed(*end))


def register(cli: Cli, bundle: Bundle, name: Name) -> None:
    """Put a bundle into the platform's registry with the gate's report on it, as a run does."""
    from mlplat.runtime import registry

    os.environ[registry.TRACKING] = cli.endpoints()["tracking"]
    tags = {"mlplat.digest": bundle.digest, "mlplat.project": name.project}
    entry = registry.Entry(name, bundle.folder, bundle.digest, {}, {}, tags, dict(bundle.report))
    registry.log(entry, passed=bool(bundle.report["passed"]))


def _gateway(cli: Cli, sample: Sample, pythons: servers.Pythons, folder: Path, pace: Pace, say: Say) -> list[Duel]:
    """Ask through the gateway and past it, and the peers, in the same rounds."""
    forms = {"1": (servers.ONNX, "onnx"), "2": (servers.SKOPS, "skops")}
    targets = [
        target for version, (name, form) in forms.items() for target in _deployed(cli, sample, name, form, version)
    ]
    with contextlib.ExitStack() as standing:
        for server in servers.of(sample, pythons):
            if server.name in _PEERS:
                address, _ = standing.enter_context(stand(server.name, server.start, folder / "peers"))
                targets += [aim(server.name, sample, form, 1, address) for form in server.forms]
        for target in targets:
            check(target, sample)
        made = duel(targets, [1, 8], pace.gateway_rounds, pace.round_seconds, say)
    for _, form in forms.values():
        cli.run("endpoint", "delete", _endpoint(form), "--yes")
    return made


def _deployed(cli: Cli, sample: Sample, name: str, form: str, version: str) -> list[Target]:
    """Deploy a version to an endpoint of its own; return how it is asked past the gateway and through it."""
    model, endpoint = f"{PROJECT}/{sample.name}", _endpoint(form)
    cli.run("deploy", model, "--version", version, "--endpoint", Name.parse(endpoint).name, "--strategy", "direct")
    shown = json.loads(cli.run("endpoint", "show", endpoint, "--json"))
    (port,) = [each["port"] for each in shown["status"]["revisions"] if each["port"]]
    gateway = f"{cli.endpoints()['gateway']}/endpoints/{endpoint}"
    return [
        aim(server, sample, each, 1, address)
        for each in servers.forms(sample, form)[: 2 if form == "onnx" else 1]
        for server, address in ((name, f"http://127.0.0.1:{port}"), (name + GATEWAY, gateway))
    ]


def _endpoint(form: str) -> str:
    return f"{PROJECT}/cancer-{form}"


_PEERS = (servers.MLSERVER_SKLEARN, servers.MLFLOW)


def _grow(cli: Cli, sample: Sample, size: int, results: Results, say: Say) -> None:
    """Add endpoints of the same version until there are so many, the last one by itself."""
    have = results.growth[-1].endpoints
    deploy = ("deploy", "flights/late", "--version", "1", "--strategy", "direct", "--endpoint")
    for number in range(have + 1, size):
        cli.run(*deploy, f"late-{number}", "--no-wait")
    _until_all_serve(cli, size - 1)
    _grown(cli, sample, size, cli.timed(*deploy, f"late-{size}"), results, say)


def _until_all_serve(cli: Cli, count: int) -> None:
    deadline = time.monotonic() + COMMAND_SECONDS
    while time.monotonic() < deadline:
        found = json.loads(cli.run("endpoint", "list", "--json"))
        if sum(each["status"]["champion"] is not None for each in found) >= count:
            return
        time.sleep(0.2)
    raise MlplatError(f"{count} endpoints did not serve within {COMMAND_SECONDS} s")


def _grown(cli: Cli, sample: Sample, size: int, deploy_seconds: float, results: Results, say: Say) -> None:
    addresses = cli.endpoints()
    url = f"{addresses['gateway']}/endpoints/flights/late/predict"
    body = servers.forms(sample, "onnx")[0].encode(sample.first(1))
    warm(url, body)
    latency = measure(url, body, connections=1, seconds=2).p50_ms
    pass_ms, share = _controller(addresses["controller"], psutil.Process(cli.pids()["controller"]))
    results.growth.append(Growth(size, memory(cli.tree()), deploy_seconds, pass_ms, share, latency))
    say(f"{size} endpoint{'s' * (size > 1)}: {results.growth[-1].bytes / 2**20:.0f} MiB, deploy {deploy_seconds:.1f} s")


def _controller(address: str, process: psutil.Process) -> tuple[float, float]:
    """Return the mean milliseconds of a pass and the share of a processor, over a few seconds without change."""

    def read() -> tuple[float, float, float, float]:
        page = httpx.get(f"{address}/metrics", timeout=10, trust_env=False).text
        values = {name: float(value) for name, value in PASSES.findall(page)}
        used = process.cpu_times()
        return values["sum"], values["count"], used.user + used.system, time.monotonic()

    before = read()
    time.sleep(LOOK_SECONDS)
    spent, passes, used, elapsed = (now - then for then, now in zip(before, read(), strict=True))
    return 1000 * spent / passes if passes else 0.0, used / elapsed


def demo(folder: Path, results: Results, say: Say) -> None:
    """Time `make demo` in a folder of its own, the environments of services being there."""
    env = {**os.environ, "MLPLAT_DEMO_DIR": str(folder)}
    script = str(ROOT / "scripts" / "demo")
    started = time.perf_counter()
    try:
        run([script], ROOT, env, DEMO_SECONDS)
        results.timed.append(Timed("demo", (time.perf_counter() - started,)))
        say(f"demo: {results.timed[-1].median:.0f} s")
    finally:
        run([script, "down"], ROOT, env, COMMAND_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
