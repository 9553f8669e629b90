"""`python -m bench`: measure, print, and write the page down."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import click

from bench import drift, growth, local, machine, models, preview, report, servers, speed
from bench.load import find_wrk
from bench.results import Results
from bench.targets import judge
from mlplat.errors import MlplatError

TRIED = servers.CACHE
"""Where a run goes that is not the whole one."""
QUIET_MLFLOW = {"MLFLOW_LOGGING_LEVEL": "WARNING", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


@click.command()
@click.option(
    "--only",
    type=click.Choice(["servers", "platform", "aws", "drift", "growth"]),
    help="One part only; the page goes to .cache/bench.",
)
@click.option("--quick", is_flag=True, help="A second a figure, for trying; the page goes to .cache/bench.")
@click.option("--demo", is_flag=True, help="Time `make demo` as well: some minutes more.")
@click.option("--check", is_flag=True, help="Exit with 1 when a target does not hold or the computer was busy.")
def command(*, only: str | None, quick: bool, demo: bool, check: bool) -> None:
    """Measure mlplat's model server beside others and the platform's own times, on this computer, in one run."""
    os.environ.setdefault("MLPLAT_DATA_DIR", str(models.ROOT / ".cache" / "mlplat"))
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.environ |= QUIET_MLFLOW
    begun, started = machine.now(), time.monotonic()
    results = Results()
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as folder:
        packages = (
            vars(_measure(Path(folder), results, only=only, quick=quick, demo=demo))
            if only not in ("aws", "drift", "growth")
            else {}
        )
        if only in (None, "drift"):
            with speed.noted(results, "drift", say):
                drift.look(results, say)
        if only in (None, "growth"):
            with speed.noted(results, "growth with the data", say):
                growth.look(Path(folder) / "growth", results, say, quick=quick)
        if only in (None, "aws"):
            with speed.noted(results, "the AWS platform", say):
                preview.look(Path(folder) / "aws", speed.QUICK if quick else speed.Pace(), results, say)
    about = report.Circumstances(
        begun=begun,
        seconds=round(time.monotonic() - started),
        commit=machine.commit(models.ROOT),
        machine=machine.here(),
        packages={name: machine.packages(python) for name, python in packages.items()},
        quick=quick,
    )
    click.echo(report.page(results, about))
    where = TRIED if only or quick else models.ROOT / "docs"
    report.write(where, results, about)
    say(f"written to {where / 'benchmarks.md'} in {about.seconds / 60:.1f} min")
    noisy = results.reference is not None and results.reference.is_noisy
    if check and (noisy or not all(verdict.holds for verdict in judge(results))):
        sys.exit(1)


def _measure(folder: Path, results: Results, *, only: str | None, quick: bool, demo: bool) -> servers.Pythons:
    find_wrk()
    pythons = servers.Pythons.ensure(say)
    pace = speed.QUICK if quick else speed.Pace()
    say("training the models")
    samples = [models.cancer(folder / "cancer"), models.flights(folder / "flights")]
    if only != "platform":
        speed.compare(samples, pythons, folder / "servers", pace, results, say)
    if only != "servers":
        with speed.noted(results, "the platform", say):
            local.look({each.name: each for each in samples}, pythons, folder, pace, results, say)
    if demo:
        with speed.noted(results, "the demo", say):
            local.demo(folder / "demo", results, say)
    return pythons


def say(text: str) -> None:
    """Tell people how it goes."""
    click.echo(text, err=True)


def main() -> None:
    """Run the command; say in one line what keeps it from going on."""
    # Asked to end, it ends what it started, as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        command()
    except MlplatError as error:
        say(f"error: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
