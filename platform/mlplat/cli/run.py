"""`mlplat run`: a project's pipeline, and what its past runs came to."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import mlplat
from mlplat.cli import workflows
from mlplat.cli.console import emit_json, progress, say, table, warn
from mlplat.cli.options import current_project, here_option, json_option, project_option, read_pairs, stack_option
from mlplat.errors import MlplatError, RefusedError, UsageError

if TYPE_CHECKING:
    from mlplat.contracts import Connection
    from mlplat.runs.begun import Begun
    from mlplat.runs.flow import Request
    from mlplat.runs.store import Run
    from mlplat.spec.project import ProjectSpec


class Flows(click.Group):
    """A group whose other words are flows: `mlplat run train` is `start` with the flow `train`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Send everything that is no subcommand and no plea for help to `start`."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["start", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Show `start` as the flow that stands in its place."""
        name, found, rest = super().resolve_command(ctx, args)
        return ("FLOW" if name == "start" else name), found, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of a run and then the subcommands."""
        start = self.commands["start"]
        options = (each for each in start.get_params(ctx) if isinstance(each, click.Option) and each.name != "help")
        records = [record for each in options if (record := each.get_help_record(ctx))]
        with formatter.section("Options of a run"):
            formatter.write_dl(records)
        super().format_commands(ctx, formatter)


@click.group(
    "run",
    cls=Flows,
    no_args_is_help=True,
    options_metavar="",
    subcommand_metavar="FLOW [OPTIONS] | list | show | resume | cancel",
)
def command() -> None:
    """Run a project's flow to its end: as processes on this computer, or on the cluster that the platform is on.

    Leaves with 0 when the model was registered and with 1 when the gate refused it or a step failed; `monitor` leaves
    with 0 whether there is an alarm or not. The steps and how
    long they took are shown while it runs; everything they print is kept in the project's `.mlplat/runs`.

    On a cluster it is the flow as `mlplat publish` has put it there; Ctrl-C ends the watching only. With `--here` it
    runs on this computer all the same, and registers with the platform.

    \b
    Example:
      mlplat run train --until 2013-04-01
      mlplat run train --sample 5000 --set training.trees=50
      mlplat run monitor                    look at what the endpoint was asked; `mlplat open drift` shows it
      mlplat run monitor --until 2013-08-01 --rows 2013-06-01 2013-08-01
      mlplat run train --from gate          go on from a step of the run that failed
      mlplat run resume                     go on behind the steps that it has finished
      mlplat run train --sample 5000 --pdb  the same steps in one process
      mlplat run show                       what the last run came to
    """


@command.command("start", hidden=True)
@click.argument("flow", required=False, metavar="")
@click.option("--until", metavar="DATE", help="Present of the run: rows and labels known by then.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Use N rows only, for a quick look.")
@click.option(
    "--rows", nargs=2, metavar="FROM TO", help="`monitor`: the project's own rows of a time, not the prediction log."
)
@click.option("--version", metavar="N", help="`monitor`: look at this version, not at the one that serves.")
@click.option("--snapshot", metavar="HASH", help="Train again on the rows of a training set (`mlplat data list`).")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="A value of mlplat.yaml for this run only.")
@click.option("--from", "step", metavar="STEP", help="Go on from STEP of the last run that failed, with its inputs.")
@click.option("--train-start", metavar="DATE", help="First day of the training rows.")
@click.option("--train-end", metavar="DATE", help="Day after the last of the training rows.")
@click.option("--holdout-start", metavar="DATE", help="First day of the hold-out.")
@click.option("--holdout-end", metavar="DATE", help="Day after the last of the hold-out.")
@click.option(
    "--pdb", "debug", is_flag=True, help="One process, without Metaflow; stops in the debugger where it fails."
)
@click.option("--prepare", "only_prepare", is_flag=True, help="Make the project's environment, and no more.")
@click.option("--wait/--no-wait", default=True, help="On a cluster: watch it until it is over.")
@here_option
@project_option
@stack_option
@json_option
def start(
    flow: str | None,
    *,
    until: str | None,
    sample: int | None,
    rows: tuple[str, str] | None,
    version: str | None,
    snapshot: str | None,
    pairs: tuple[str, ...],
    step: str | None,
    debug: bool,
    only_prepare: bool,
    wait: bool,
    here: bool,
    project: Path | None,
    stack: str,
    as_json: bool,
    **dates: str | None,
) -> None:
    """Run FLOW of this project, such as `train`.

    \b
    Example:
      mlplat run train --until 2013-04-01
      mlplat run train --sample 5000 --set training.trees=50
      mlplat run train --from gate
      mlplat run train -s staging --no-wait
    """
    from mlplat.contracts import Connection
    from mlplat.runs import flow as flows
    from mlplat.runs import start as runs
    from mlplat.spec.project import override

    folder, spec = current_project(project)
    if flow is None and not only_prepare:
        raise UsageError("no flow was named", hint="`mlplat run train`")
    request = flows.Request(
        flow or "",
        until,
        sample,
        _overrides(pairs),
        {k.replace("_", "-"): v for k, v in dates.items() if v},
        step,
        version=version,
        snapshot=snapshot,
        rows=rows,
    )
    if only_prepare:
        _check(folder, request, debug=debug, only_prepare=only_prepare)
        click.echo(_prepared(folder))
        return
    override(spec, request.overrides)
    if where := workflows.place(spec, stack, here=here):
        _check_times(request)
        _refuse_local_only(request, debug=debug)
        workflows.start(where, request, wait=wait, as_json=as_json)
        return
    _check(folder, request, debug=debug, only_prepare=only_prepare)
    if not wait:
        raise UsageError("`--no-wait` is for a run on a cluster", hint="leave it out, or name its stack with `-s`")
    with _reached(spec, Connection.read(spec.platform, stack)) as connection:
        _say_skew(connection)
        runs.check_answers(connection)
        if not debug:
            _finish(_watched(folder, connection, request), as_json=as_json)
        elif code := runs.debug(folder, spec.project.replace("-", "_"), _prepared(folder), connection, request):
            raise MlplatError(f"`{request.flow}` ended with exit code {code}")


@contextlib.contextmanager
def _reached(spec: ProjectSpec, connection: Connection) -> Iterator[Connection]:
    """Yield a connection by whose addresses its registry is reached from here."""
    from dataclasses import replace

    from mlplat.cli.endpoints import Place

    with Place(connection, spec).reach(connection.tracking) as tracking:
        yield replace(connection, tracking=tracking)


def _refuse_local_only(request: Request, *, debug: bool) -> None:
    wanted = "--pdb" if debug else "--from" if request.step else None
    if wanted:
        raise UsageError(f"`{wanted}` is for runs on this computer", hint="`--here` runs the flow on this one")


def _overrides(pairs: Sequence[str]) -> dict[str, Any]:
    from mlplat.spec.base import read_yaml

    return {key: read_yaml(text, f"--set {key}") for key, text in read_pairs(pairs).items()}


def _check(folder: Path, request: Request, *, debug: bool, only_prepare: bool) -> None:
    """Refuse what cannot be before anything is installed or started."""
    from mlplat.runs import flow as flows

    if request.flow or not only_prepare:
        flows.find(folder, request.flow)
    _check_times(request)
    if request.step and (request.options() or debug):
        raise UsageError(
            "`--from` goes on with the parameters of the run that failed",
            hint="leave the other options out, or start anew",
        )


def _check_times(request: Request) -> None:
    from mlplat.runs import flow as flows

    flows.check_time(request.until, "--until")
    for name, text in [*request.dates.items(), *(("rows", text) for text in request.rows or ())]:
        flows.check_time(text, f"--{name}")


def _prepared(folder: Path) -> Path:
    from mlplat.runs.prepare import prepare

    return prepare(folder, progress=say)


def _say_skew(connection: Connection) -> None:
    if connection.mlplat != mlplat.__version__:
        warn(
            f"the platform `{connection.platform}` was stood up by mlplat {connection.mlplat}, this is mlplat "
            f"{mlplat.__version__}: `mlplat up -s {connection.stack}` brings it along"
        )


def _watched(folder: Path, connection: Connection, request: Request) -> Run:
    """Start a run and show its steps."""
    from mlplat.runs import start
    from mlplat.runs.progress import Steps

    python = _prepared(folder)
    run, origin = start.begin(folder, connection, request)
    say(f"run {run.record.id} of {request.flow}, log in {run.log}")
    with progress(f"{request.flow} …") if sys.stderr.isatty() else contextlib.nullcontext(_nothing) as show:
        steps = Steps(started=lambda step: show(f"{step} …"), ended=lambda text: say(f"  {text}"))
        return start.carry_out(run, folder, python, connection, request, origin=origin, steps=steps)


def _nothing(_text: str) -> None:
    """Show nothing: where no line can move, a step is worth a line when it is over."""


def _finish(run: Run, *, as_json: bool) -> None:
    from mlplat.runs.result import failed_rules

    _print(run, as_json=as_json)
    result, status, flow = run.result() or {}, run.record.status, run.record.flow
    if status in ("registered", "done"):
        return
    if status == "cancelled":
        raise click.Abort
    if status == "refused":
        rules = failed_rules(result)
        reason = result.get("message") or "the gate said no"
        raise RefusedError(
            "\n".join([f"the model is registered nowhere: {reason}", *rules]), hint=f"whole log: {run.log}"
        )
    at = f" in step `{result['step']}`" if result.get("step") else ""
    told = f": {result['message']}" if result.get("message") else ""
    # What was told before it was killed is true as well, but not why it failed.
    at, reason = ("", f"{killed}{told.replace(': ', '; before, ', 1)}") if (killed := _killed(run)) else (at, told)
    ways = [f"whole log: {run.log}"]
    if run.metaflow_id:
        ways += [
            f"`mlplat run resume {run.record.id}` goes on behind the steps that are finished",
            f"`mlplat run {flow} --from STEP` goes on from another one",
        ]
    raise MlplatError("\n".join([f"{flow} failed{at}{reason}", *_tail(run, result)]), hint="\n".join(ways))


def _killed(run: Run) -> str:
    """Say so when a run was ended by a signal that nobody here sent."""
    import signal

    code = run.record.exit_code or 0
    if code >= 0:
        return ""
    name = signal.Signals(-code).name
    return f": its process was killed ({name})" + (
        "; a computer that is out of memory does that" if -code == signal.SIGKILL else ""
    )


def _tail(run: Run, result: dict[str, Any]) -> list[str]:
    from mlplat.runs.progress import tail

    if result.get("message"):
        return []
    return [f"  {line}" for line in tail(run.log.read_text(errors="replace").splitlines())] if run.log.exists() else []


def _print(run: Run, *, as_json: bool) -> None:
    from dataclasses import asdict

    from mlplat.runs.result import describe

    result = run.result()
    if as_json:
        emit_json({**asdict(run.record), "log": str(run.log), "result": result})
    elif result:
        click.echo("\n".join(describe(result)))


@command.command("list")
@here_option
@project_option
@stack_option
@json_option
def list_(project: Path | None, *, here: bool, stack: str, as_json: bool) -> None:
    """List this project's runs, the newest first: those on this computer, or on the cluster of a stack.

    What the platform on this computer has begun by itself, by a schedule or to train a model anew, has a name and not a
    number, and says why.

    \b
    Example:
      mlplat run list
      mlplat run list -s staging
    """
    from dataclasses import asdict

    from mlplat.runs.store import Runs

    folder, spec = current_project(project)
    if where := workflows.place(spec, stack, here=here):
        workflows.listed(where, as_json=as_json)
        return
    own = [(run, str(run.record.id), "") for run in Runs(folder).all(_warn_damaged)]
    others = [(each.run, each.name, each.job.reason) for each in _begun(spec, stack)]
    found = sorted([*own, *others], key=lambda each: each[0].record.started, reverse=True)
    if as_json:
        told = ({**asdict(run.record), "name": name, "reason": why, "result": run.result()} for run, name, why in found)
        emit_json(list(told))
    elif not found:
        say("no runs yet: `mlplat run train` starts one")
    else:
        rows = [[name, *_row(run)[1:], why or "-"] for run, name, why in found]
        table(rows, ["run", "flow", "status", "started", "took", "arguments", "model", "reason"])


def _begun(spec: ProjectSpec, stack: str) -> list[Begun]:
    """Return what the platform has begun by itself; nothing where there is none."""
    from mlplat.contracts import Connection
    from mlplat.runs.begun import begun

    with contextlib.suppress(MlplatError):
        return begun(Connection.read(spec.platform, stack), spec.project)
    return []


def _warn_damaged(error: MlplatError) -> None:
    warn(error.message + (f" ({error.hint})" if error.hint else ""))


def _row(run: Run) -> list[str]:
    record, result = run.record, run.result() or {}
    model = f"{result['model']} {result['version']}" if result.get("version") else "-"
    took = "-" if record.seconds is None else f"{record.seconds:.0f} s"
    return [str(record.id), record.flow, record.status, record.started, took, " ".join(record.arguments) or "-", model]


@command.command("show")
@click.argument("run", required=False)
@here_option
@project_option
@stack_option
@json_option
def show(run: str | None, project: Path | None, *, here: bool, stack: str, as_json: bool) -> None:
    """Show what a run came to; without RUN, the last one. RUN is its number, or its name where the platform began it.

    \b
    Example:
      mlplat run show 3
      mlplat run show --json
      mlplat run show flights.monitor.4f0c81d2aa
      mlplat run show flights-train-20261121-231500-4f0c -s staging
    """
    from mlplat.runs.store import Runs

    folder, spec = current_project(project)
    if where := workflows.place(spec, stack, here=here):
        workflows.show(where, run, as_json=as_json)
        return
    runs = Runs(folder)
    if run is not None and "." in run:
        from mlplat.contracts import Connection
        from mlplat.runs.begun import named

        begun = named(Connection.read(spec.platform, stack), spec.project, run)
        _show(begun.run, as_json=as_json)
        if not as_json:
            say(f"begun by the platform: {begun.job.reason}")
        return
    number = _number(run) if run is not None else None
    found = runs.get(number) if number else next(iter(runs.all(_warn_damaged)), None)
    if found is None:
        raise UsageError("there are no runs yet", hint="`mlplat run train` starts one")
    _show(found, as_json=as_json)
    if found.record.status in ("failed", "interrupted", "cancelled") and found.metaflow_id:
        say(f"`mlplat run resume {found.record.id}` goes on behind the steps that are finished")


def _show(found: Run, *, as_json: bool) -> None:
    if not as_json:
        rows = dict(zip(["run", "flow", "status", "started", "took", "arguments"], _row(found), strict=False))
        click.echo("\n".join(f"{name:<10} {text}" for name, text in {**rows, "log": str(found.log)}.items()))
        click.echo()
    _print(found, as_json=as_json)
    if not as_json and found.record.status == "failed":
        click.echo("\n".join(_tail(found, found.result() or {})))


@command.command("resume")
@click.argument("number", type=click.IntRange(min=1), metavar="[RUN]", required=False)
@project_option
@stack_option
@json_option
def resume(number: int | None, *, project: Path | None, stack: str, as_json: bool) -> None:
    """Go on with a run that failed or was killed, behind the steps that it has finished; without RUN, the last one.

    What is finished is taken over and not computed again, with the run's own parameters; the code is the present one.
    It becomes a run of its own.

    \b
    Example:
      mlplat run resume
      mlplat run resume 3
    """
    from mlplat.contracts import Connection
    from mlplat.runs import flow as flows
    from mlplat.runs import start as runs
    from mlplat.runs.store import Runs

    folder, spec = current_project(project)
    kept = Runs(folder)
    origin = kept.unfinished(number) if number else kept.last_unfinished()
    flows.find(folder, origin.record.flow)
    request = flows.Request(origin.record.flow, resumes=True, origin=origin.record.id)
    with _reached(spec, Connection.read(spec.platform, stack)) as connection:
        _say_skew(connection)
        runs.check_answers(connection)
        _finish(_watched(folder, connection, request), as_json=as_json)


@command.command("cancel")
@click.argument("run")
@here_option
@project_option
@stack_option
def cancel(run: str, project: Path | None, *, here: bool, stack: str) -> None:
    """End a run that is going on, with all its tasks. On a cluster RUN is its name, and here its number.

    \b
    Example:
      mlplat run cancel 3
      mlplat run cancel flights-train-20261121-231500-4f0c -s staging
    """
    from mlplat.runs import process
    from mlplat.runs.store import Runs

    folder, spec = current_project(project)
    if where := workflows.place(spec, stack, here=here):
        workflows.cancel(where, run)
        return
    number = _number(run)
    found = Runs(folder).get(number)
    if not process.cancel(found):
        raise MlplatError(
            f"run {number} is not going on: it is {found.record.status}", hint="`mlplat run list` lists them"
        )
    say(f"run {number} is cancelled")


def _number(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(
        f"`{text}` is no number of a run on this computer",
        hint="`mlplat run list` lists them; `-s` names the stack of a cluster, whose runs have names",
    )
