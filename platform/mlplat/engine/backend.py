"""Where a stack's state is kept, and the passphrase or the key that its secrets are encrypted with."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from mlplat import deployment
from mlplat.engine import binary
from mlplat.errors import StateError, UsageError
from mlplat.files import PRIVATE, config_dir, write_atomic
from mlplat.spec.base import read_text
from mlplat.spec.platform import PlatformSpec

FILE = "file://"
SALT = re.compile(r"^encryptionsalt:", re.MULTILINE)
ENCRYPTED = re.compile(r"^encryptedkey:", re.MULTILINE)
GIVEN = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


@dataclass(frozen=True)
class Backend:
    """A backend, seen by one stack."""

    url: str
    passphrase: Path | None
    """File of the passphrase; None where the environment has one, or a key does its work."""
    secrets: str | None = None
    """Key that encrypts the stack's secrets, such as `awskms://alias/name?region=eu-west-1`; None for a passphrase."""

    def environment(self) -> dict[str, str]:
        """Return what the engine is told by variables."""
        path = os.pathsep.join([str(binary.provider_folder()), os.environ.get("PATH", os.defpath)])
        told = {"PULUMI_BACKEND_URL": self.url, "PULUMI_SKIP_UPDATE_CHECK": "true", "PATH": path}
        return {**told, **({"PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase)} if self.passphrase else {})}

    def folder(self) -> Path | None:
        """Return the folder of a backend on this computer; None for another."""
        return Path(self.url.removeprefix(FILE)) if self.url.startswith(FILE) else None

    def is_prepared(self) -> bool:
        """Tell whether `prepare` would make nothing."""
        needed = [place for place in (self.folder(), self.passphrase) if place]
        return all(place.exists() for place in needed)

    def refuse_without_passphrase(self, file: Path) -> None:
        """Raise `StateError` where a stack file has secrets' salt and the passphrase it goes with is not here."""
        if self.secrets and SALT.search(read_text(file)):
            raise StateError(
                f"{file} was made with a passphrase, and `engine.secrets` names a key",
                hint="take `engine.secrets` out, then `pulumi stack change-secrets-provider` and write it again",
            )
        if self.passphrase and not self.passphrase.exists() and SALT.search(read_text(file)):
            raise StateError(
                f"{file} was made with a passphrase that is not on this computer",
                hint=f"put it at {self.passphrase}, or set PULUMI_CONFIG_PASSPHRASE_FILE to where it is",
            )

    def prepare(self) -> list[str]:
        """Make the folder and the passphrase that are missing; return a line for each. Raises `StateError`."""
        made = []
        folder = self.folder()
        try:
            if folder and not folder.exists():
                folder.mkdir(parents=True, mode=0o700)
                made.append(f"made {folder}, where the engine keeps its state")
            if self.passphrase and not self.passphrase.exists():
                write_atomic(self.passphrase, secrets.token_urlsafe(32) + "\n", mode=PRIVATE)
                made.append(f"made {self.passphrase}: without it the stack's secrets cannot be read, so keep a copy")
        except OSError as error:
            raise StateError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error
        return made


def of(spec: PlatformSpec, stack: str, url: str | None = None) -> Backend:
    """Return a stack's backend, or what it would be at another address. Raises `UsageError` for one that is none."""
    address = url or deployment.address(spec)
    if "://" not in address:
        raise UsageError(f"`{address}` is no backend", hint="write `file:///folder`, `s3://bucket` or another address")
    if address.startswith(FILE) and not Path(address.removeprefix(FILE)).is_absolute():
        raise UsageError(f"`{address}` is relative, and `pulumi` and `mlplat` run in different folders")
    key = spec.engine.secrets if spec.engine else None
    given = key is not None or any(os.environ.get(name) for name in GIVEN)
    kept = config_dir() / "passphrases" / f"{spec.name}.{stack}"
    return Backend(address, None if given else kept, key)


def guard(spec: PlatformSpec) -> None:
    """Raise `RefusedError` where the credentials at hand are not those of the account that a stack is for.

    The backend and the key are asked with them before any provider could refuse.
    """
    if spec.aws is not None and spec.target == "aws":
        from mlplat.targets.aws import session

        session.open(spec.aws)
