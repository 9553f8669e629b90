"""What the engine refuses, in sentences that say what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mlplat.engine.locks import Lock
from mlplat.errors import MlplatError, RefusedError, StateError

LOCK = re.compile(r"created by (?P<user>\S+?)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)")
PROTECTED = re.compile(r'"?(urn:pulumi:[^"\s]+)"? (?:cannot be deleted|.*protect)|unable to delete resource "([^"]+)"')
REPLACED = re.compile(r'unable to replace resource "([^"]+)"')
PLAN = re.compile(r"violates plan|not allowed by the plan|plan constraint|constraint mismatch", re.IGNORECASE)
UNREACHED = re.compile(r"expected resource operations for \S+ but none were seen")
"""What the engine says of everything in a plan that it did not come to, because something else failed first."""
PASSPHRASE = re.compile(r"incorrect passphrase|passphrase must be set", re.IGNORECASE)
HINT = "hint: "
TAIL = 12


class EndedBySignalError(MlplatError):
    """A signal ended the engine in order."""

    def __init__(self, number: int, hint: str) -> None:
        super().__init__("interrupted: what had begun was ended in order, and nothing more was begun", hint=hint)
        self.exit_code = 128 + number


def of(error: Exception, errors: Sequence[str], signal: int, log: Path) -> MlplatError:
    """Return what a failed command of the engine means. `errors` are its own, `signal` the one that ended it or 0."""
    errors = [each for each in errors if not UNREACHED.search(each)] or errors
    said = "\n".join([str(error), *errors])
    if signal:
        return interrupted(signal, log)
    if "is currently locked" in said:
        return locked(said)
    if PLAN.search(said) or any(UNREACHED.search(each) for each in errors):
        return RefusedError(
            "something changed after the preview, so what was not done yet was left\n" + "\n".join(_messages(errors)),
            hint=f"run the command again: it shows what it would do now; the engine's words are in {log}",
        )
    if guarded := _guarded(said):
        return guarded
    if PASSPHRASE.search(said):
        return StateError(
            "the stack's secrets cannot be read with this passphrase",
            hint="set PULUMI_CONFIG_PASSPHRASE_FILE to the right one; `mlplat state env` prints which is used",
        )
    hints = [line.strip().removeprefix(HINT) for text in errors for line in text.splitlines() if _is_hint(line)]
    hints.append(f"the engine's words are in {log}")
    return MlplatError("\n".join(_messages(errors) or _tail(str(error))), hint="\n".join(dict.fromkeys(hints)))


def interrupted(signal: int, log: Path) -> MlplatError:
    """Return what a signal left."""
    return EndedBySignalError(signal, f"run the command again to go on from there; the engine's words are in {log}")


def held(lock: Lock) -> StateError:
    """Return who holds a stack, and whether they live."""
    lives = lock.lives()
    if lives is None:
        return StateError(f"the stack is locked by {lock}", hint="wait for it; if it was killed, `mlplat state unlock`")
    if lives:
        return StateError(f"the stack is locked by {lock}, which still works", hint="wait for it to end")
    return StateError(f"the stack is locked by {lock}, which was killed", hint="`mlplat state unlock` mends that")


def locked(said: str) -> StateError:
    """Return who holds a stack, by what the engine says of it."""
    found = LOCK.search(said)
    if found is None:
        return StateError("the stack is locked", hint="wait; if its holder was killed, `mlplat state unlock`")
    return held(Lock(found["user"], found["host"], int(found["pid"]), found["since"].rstrip(".")))


def _guarded(said: str) -> RefusedError | None:
    """Return what the engine refused to replace or to delete; None where it was not that."""
    if urns := REPLACED.findall(said):
        return replaced([urn.rsplit("::", maxsplit=1)[-1] for urn in urns])
    if "protect" in said and (found := PROTECTED.findall(said)):
        return protected([(first or second).rsplit("::", maxsplit=1)[-1] for first, second in found])
    return None


def protected(names: Sequence[str]) -> RefusedError:
    """Return which protected resources would have been deleted."""
    shown = ", ".join(f"`{name}`" for name in dict.fromkeys(names))
    return RefusedError(
        f"{shown}: protected, so nothing is deleted",
        hint='`eval "$(mlplat state env)"`, then `pulumi state unprotect URN` for each that may go'
        " (`pulumi stack --show-urns` lists them)",
    )


def replaced(names: Sequence[str]) -> RefusedError:
    """Return which protected resources would have been deleted to make others in their place."""
    shown = ", ".join(f"`{name}`" for name in dict.fromkeys(names))
    return RefusedError(
        f"{shown}: protected, and what the stack file says now would make another one in its place, so nothing is"
        " changed",
        hint="write the setting as it was (a name, a zone or a key is for good); to move, bring a second platform up"
        " beside this one and copy the data",
    )


def _messages(errors: Sequence[str]) -> list[str]:
    lines = [line.strip() for text in errors for line in text.splitlines()]
    return list(dict.fromkeys(line for line in lines if line and not _is_hint(line)))


def _is_hint(line: str) -> bool:
    return line.strip().startswith(HINT)


def _tail(said: str) -> list[str]:
    """Return the end of what a command said on stderr, which the SDK's error puts last."""
    lines = [line.strip() for line in said.rpartition("stderr: ")[2].splitlines()]
    kept = [line.removeprefix("error: ") for line in lines if line and not line.startswith("warning:")]
    return kept[-TAIL:]
