"""One stack under the engine: previewed, applied exactly as previewed, ended."""

from __future__ import annotations

import contextlib
import functools
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplat import deployment, upgrades
from mlplat.engine import backend, binary, locks, refusals
from mlplat.engine import ending as endings
from mlplat.engine.backend import ENCRYPTED, FILE, Backend
from mlplat.engine.command import Command
from mlplat.engine.ending import Ending
from mlplat.engine.events import Listener
from mlplat.errors import StateError, UsageError
from mlplat.files import PRIVATE, state_dir, writing
from mlplat.spec.base import read_text, read_yaml
from mlplat.spec.platform import PlatformSpec

if TYPE_CHECKING:
    from pulumi import automation

Say = Callable[[str], None]
PROJECT_FILE = "Pulumi.yaml"
TRIAL_ID = "0" * 16
LOG_BYTES = 5_000_000
"""Size from which the engine's log begins anew: some hundred commands."""


@dataclass
class Stack:
    """A stack, opened on its backend."""

    spec: PlatformSpec
    name: str
    project: str
    file: Path
    """Its stack file."""
    backend: Backend
    command: Command
    handle: automation.Stack
    log: Path
    """Where the engine's own words are kept."""

    def preview(self, plan: Path, tell: Say) -> Listener:
        """Work out what an `up` would do, and keep it at `plan`.

        Raises `MlplatError`, also for versions that nobody supports after those that are there.
        """
        from mlplat.program import run

        listener = Listener(tell)
        before = upgrades.remembered(self.resources())
        program = functools.partial(run, guarded=False, standing=before, told=listener.upgrades.extend)
        with self._readable(listener):
            self.handle.preview(
                on_event=listener, on_output=self._write, on_error=self._write, plan=str(plan), program=program
            )
        return listener

    def up(self, plan: Path, tell: Say) -> dict[str, Any]:
        """Do exactly what `plan` holds; return the stack's outputs. Raises `MlplatError`."""
        listener = Listener(tell)
        with self._readable(listener):
            done = self.handle.up(on_event=listener, on_output=self._write, on_error=self._write, plan=str(plan))
        return {name: output.value for name, output in done.outputs.items() if not output.secret}

    def preview_destroy(self, tell: Say) -> Listener:
        """Work out what a `down` would do. Raises `MlplatError`."""
        listener = Listener(tell)
        with self._readable(listener):
            self.handle.preview_destroy(on_event=listener, on_output=self._write, on_error=self._write)
        return listener

    def destroy(self, tell: Say) -> None:
        """End everything that the stack has made. Raises `RefusedError` for what is protected."""
        listener = Listener(tell)
        with self._readable(listener):
            self.handle.destroy(on_event=listener, on_output=self._write, on_error=self._write)

    def end(self, ending: Ending, tell: Say) -> None:
        """End what is to go, and keep the rest in the account and in the state. Raises `MlplatError`.

        What is guarded is let go first, in the state alone: the program goes on asking for it, and the next `up` puts
        it back.
        """
        state = self.state()
        self.put({**state, "resources": endings.loosened(state.get("resources") or [], ending, datetime.now(UTC))})
        listener, targets = Listener(tell), list(ending.goes) if ending.stays else None
        with self._readable(listener):
            self.handle.destroy(on_event=listener, on_output=self._write, on_error=self._write, target=targets)

    def let_go(self, ending: Ending, tell: Say) -> None:
        """Run the program once more with nothing protected, for what holds data and goes. Raises `MlplatError`.

        That is an `up`, because what deletes a bucket with all that is in it, or a database without a last snapshot,
        are settings of theirs, which only a program may change.
        """
        goes = set(ending.goes)
        guarded = (each for each in self.resources() if each.get("protect") or each.get("retainOnDelete"))
        held = [each["urn"] for each in guarded if each["urn"] in goes]
        if not held:
            return
        listener = Listener(tell)
        with self._readable(listener):
            self.handle.up(
                on_event=listener,
                on_output=self._write,
                on_error=self._write,
                target=held,
                program=_deleting,
            )

    def outputs(self) -> dict[str, Any]:
        """Return what the last `up` gave out, without what is secret. Raises `MlplatError`."""
        with self._readable(Listener(lambda _: None)):
            found = self.handle.outputs()
        return {name: output.value for name, output in found.items() if not output.secret}

    def protected(self) -> list[str]:
        """Return the names of the resources that must not be deleted."""
        return [each["urn"].rsplit("::", maxsplit=1)[-1] for each in self.resources() if each.get("protect")]

    def locks(self) -> list[locks.Lock] | None:
        """Return who holds the stack; None where the backend does not let us look."""
        return locks.read(self.backend, self.project, self.name)

    def refuse_locked(self) -> None:
        """Raise `StateError` while somebody holds the stack."""
        if held := self.locks():
            raise refusals.held(held[0])

    def unlock(self) -> None:
        """Remove the stack's locks. Raises `MlplatError`."""
        with self._readable(Listener(lambda _: None)):
            self.handle.cancel()

    def forget_pending(self) -> int:
        """Drop the creates that a killed engine had begun; return how many those were. Raises `MlplatError`.

        That is right because every resource of mlplat takes over what is there already: the next `up` finds what the
        killed one made, and makes none of it twice. What only a cloud can name needs an import instead.
        """
        pending = len(self.state().get("pending_operations") or [])
        if pending:
            listener = Listener(lambda _: None)
            with self._readable(listener):
                self.handle.refresh(clear_pending_creates=True, on_event=listener, on_output=self._write)
        return pending

    def state(self) -> dict[str, Any]:
        """Return what the engine remembers: its deployment, secrets encrypted."""
        with self._readable(Listener(lambda _: None)):
            exported = self.handle.export_stack()
        return dict(exported.deployment or {})

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources that the engine remembers, secrets encrypted."""
        return list(self.state().get("resources") or [])

    def put(self, state: dict[str, Any]) -> None:
        """Replace what the engine remembers. Raises `MlplatError`."""
        from pulumi.automation import Deployment

        with self._readable(Listener(lambda _: None)):
            self.handle.import_stack(Deployment(version=3, deployment=state))

    def seal(self, identity: str) -> None:
        """Write a deployment's id into the state."""
        state = self.state()
        resources = deployment.sealed(state.get("resources") or [], self.project, self.name, identity)
        self.put({**state, "resources": resources})

    def used(self) -> bool:
        """Tell whether the engine ever changed the stack here."""
        with self._readable(Listener(lambda _: None)):
            return bool(self.handle.history(page_size=1))

    def _write(self, line: str) -> None:
        # On a full disk the engine goes on, and so do we.
        with contextlib.suppress(OSError), self.log.open("a") as log:
            log.write(line + "\n")

    @contextlib.contextmanager
    def _readable(self, listener: Listener) -> Iterator[None]:
        from pulumi.automation.errors import CommandError

        try:
            yield
        except CommandError as error:
            self._write(str(error))
            raise refusals.of(error, listener.errors, self.command.interrupted, self.log) from error
        if self.command.interrupted:
            raise refusals.interrupted(self.command.interrupted, self.log)


def _deleting() -> None:
    """Declare the stack as one that is about to be ended with its data. Nothing of that is written to its file."""
    import pulumi

    from mlplat.program import run
    from mlplat.targets.aws.program import DELETING

    pulumi.runtime.set_config(DELETING, "true")
    run(guarded=False)


def opened(spec: PlatformSpec, stack: str, file: Path, say: Say, *, engine: binary.Binary) -> Stack:
    """Open a stack on its backend, making it there on first use. Raises `MlplatError`.

    A stack that lives on another backend is refused: its stack file names the deployment that it is.
    """
    found = existing(spec, stack, file, say, engine=engine, adopt=True)
    if found is None:
        chosen = backend.of(spec, stack)
        for line in chosen.prepare():
            say(line)
        found = begin(chosen, spec, stack, file, say, engine=engine)
        check_deployment(found, adopt=True)
    return found


def existing(
    spec: PlatformSpec, stack: str, file: Path, say: Say, *, engine: binary.Binary, adopt: bool = False
) -> Stack | None:
    """Return a stack that is on its backend; None for one that is nowhere yet. Raises `RefusedError` as `opened`."""
    chosen = backend.of(spec, stack)
    backend.guard(spec)
    chosen.refuse_without_passphrase(file)
    found = on(chosen, spec, stack, file, say, engine=engine) if chosen.is_prepared() else None
    if found is not None:
        check_deployment(found, adopt=adopt)
    elif written := deployment.read(file):
        raise deployment.refusal(str(file), written, chosen.url, None)
    return found


@contextlib.contextmanager
def looked_at(spec: PlatformSpec, stack: str, file: Path, say: Say, *, engine: binary.Binary) -> Iterator[Stack]:
    """Open a stack for a preview, which makes nothing: one that is nowhere yet is tried on a folder that goes again."""
    if found := existing(spec, stack, file, say, engine=engine):
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="mlplat-preview-") as scratch:
        trial, copied = _trial(backend.of(spec, stack), Path(scratch), file)
        trial.prepare()
        yield begin(trial, spec, stack, copied, say, engine=engine)


def _trial(chosen: Backend, scratch: Path, file: Path) -> tuple[Backend, Path]:
    folder, url = repository(file), f"{FILE}{scratch / 'backend'}"
    copied = scratch / "repository" / file.absolute().relative_to(folder)
    copied.parent.mkdir(parents=True)
    shutil.copy(folder / PROJECT_FILE, scratch / "repository")
    shutil.copy(file, copied)
    # What is made takes its names from the deployment's id, which the first `up` chooses; those shown have this one.
    deployment.write(copied, TRIAL_ID)
    # The engine wants the program's folder, though it does not run what is there.
    (scratch / "repository" / str(_document(folder).get("main") or "")).mkdir(exist_ok=True)
    kept = chosen.passphrase is not None and not chosen.passphrase.exists()
    if chosen.secrets:
        # The key that its file already names reads the secrets in it; otherwise there may be no key yet.
        named = ENCRYPTED.search(read_text(file)) is not None
        return Backend(url, None, chosen.secrets) if named else Backend(url, scratch / "passphrase"), copied
    return Backend(url, scratch / "passphrase" if kept else chosen.passphrase), copied


def check_deployment(stack: Stack, *, adopt: bool) -> None:
    """Refuse a backend that holds another deployment of this stack than its file names.

    With `adopt`, a stack that has no id yet gets one: first in its state, then in its file, so that a file never names
    an id that no backend holds. Raises `RefusedError`.
    """
    written, resources = deployment.read(stack.file), stack.resources()
    kept = deployment.held(resources)
    if written and kept == written:
        return
    # A stack that was destroyed holds nothing, but was here.
    if written and (kept or resources or not stack.used()):
        raise deployment.refusal(str(stack.file), written, stack.backend.url, kept)
    if kept and kept.startswith(deployment.MOVED):
        raise deployment.refusal(str(stack.file), "no id", stack.backend.url, kept)
    if not adopt:
        return
    identity = written or kept or secrets.token_hex(8)
    if not kept:
        stack.seal(identity)
    deployment.write(stack.file, identity)
    stack.command.say(f"wrote `{deployment.KEY}` to {stack.file}: by it the stack's state is known, so keep it there")


def on(chosen: Backend, spec: PlatformSpec, stack: str, file: Path, say: Say, *, engine: binary.Binary) -> Stack | None:
    """Return a stack as a backend has it; None where it has none. Raises `MlplatError`."""
    from pulumi import automation

    return _handled(automation.select_stack, chosen, spec, stack, file, say, engine)


def begin(chosen: Backend, spec: PlatformSpec, stack: str, file: Path, say: Say, *, engine: binary.Binary) -> Stack:
    """Make an empty stack on a backend. Raises `MlplatError`."""
    from pulumi import automation

    made = _handled(automation.create_stack, chosen, spec, stack, file, say, engine)
    if made is None:
        raise StateError(f"{chosen.url}: the stack `{stack}` was made there and is not there")
    return made


def _handled(
    how: Callable[..., automation.Stack],
    chosen: Backend,
    spec: PlatformSpec,
    stack: str,
    file: Path,
    say: Say,
    engine: binary.Binary,
) -> Stack | None:
    from pulumi import automation
    from pulumi.automation.errors import CommandError, StackNotFoundError

    from mlplat.program import run

    folder, command = repository(file), Command(engine, say)
    log, name = log_file(spec, stack), project(folder)
    _begin_log(log)
    options = automation.LocalWorkspaceOptions(
        work_dir=str(folder),
        env_vars=chosen.environment(),
        pulumi_command=command,
        secrets_provider=chosen.secrets,
    )
    # The deployment was checked here, with more knowledge than the program has.
    program = functools.partial(run, guarded=False)
    try:
        handle = how(stack_name=stack, project_name=name, program=program, opts=options)
    except StackNotFoundError:
        return None
    except CommandError as error:
        raise refusals.of(error, [], command.interrupted, log) from error
    return Stack(spec, stack, name, file, chosen, command, handle, log)


def _begin_log(log: Path) -> None:
    with writing(log.parent):
        log.parent.mkdir(parents=True, exist_ok=True)
        too_long = log.exists() and log.stat().st_size > LOG_BYTES
        with log.open("w" if too_long else "a") as file:
            file.write(f"--- {datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')}\n")
        log.chmod(PRIVATE)


def log_file(spec: PlatformSpec, stack: str) -> Path:
    """Return the file of all that the engine said of a stack, the last times."""
    return state_dir() / "engine" / f"{spec.name}.{stack}.log"


def repository(file: Path) -> Path:
    """Return the folder of the Pulumi.yaml that a stack file belongs to. Raises `UsageError`."""
    for folder in file.absolute().parents:
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise UsageError(
        f"there is no {PROJECT_FILE} above {file}, and the stack has an engine",
        hint="`mlplat init DIR` makes a repository that has one",
    )


def project(folder: Path) -> str:
    """Return the name of a repository's Pulumi project. Raises `UsageError`."""
    name = _document(folder).get("name")
    if not isinstance(name, str):
        raise UsageError(f"{folder / PROJECT_FILE}: name: is required")
    return name


def _document(folder: Path) -> dict[str, Any]:
    path = folder / PROJECT_FILE
    document = read_yaml(read_text(path), str(path))
    return document if isinstance(document, dict) else {}
