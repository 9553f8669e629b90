"""Make each application's database and users, and write how to reach it into the application's secret.

`python -m mlplat.jobs.databases --master SECRET --host NAME --application tracking=SECRET …` may run at any time and as
often as it likes: it makes what is missing, mends what does not work, and leaves the rest alone. The master's password
is read for each run, because RDS turns it. No password leaves this program but into a secret: the server is sent what a
password is checked with, never the password itself, so that its log of statements holds none.

An application's database belongs to a role that nobody signs in as, and two users, `<name>_a` and `<name>_b`, act as
it. Only one is in the secret. `--rotate` gives the other one a new password and writes it there; whoever still has the
former goes on working until the next rotation. At no moment does the secret hold what does not work.

`--check`, in place of `--master`, only tries what the secrets hold: on an instance restored beside the real one, say.
It needs `psycopg` and `boto3`, and prints what became of each application as JSON.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import sleep
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from mlplat.errors import MlplatError, UnreachableError, UsageError
from mlplat.jobs import roles
from mlplat.jobs.vault import Vault

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

ATTEMPTS = 6
PAUSE_SECONDS = 10.0
"""Between two attempts to sign in as the master: RDS turns password and secret within seconds, not at once."""
CONNECT_SECONDS = 15
PASSWORD_BYTES = 32
MAINTENANCE = "postgres"
"""Database that every server has."""
Outcome = Literal["made", "mended", "rotated", "unchanged"]


@dataclass(frozen=True)
class Server:
    """Where PostgreSQL is, and how its certificate is checked."""

    host: str
    port: int = 5432
    sslrootcert: str | None = None
    """File of the authorities that may vouch for it; unset, the way is encrypted and nobody vouches."""
    sslmode: str = "require"

    def connect(self, database: str, user: str, password: str) -> Connection:
        """Open a connection. Raises `psycopg.OperationalError`."""
        import psycopg

        return psycopg.connect(
            host=self.host,
            port=self.port,
            dbname=database,
            user=user,
            password=password,
            sslmode="verify-full" if self.sslrootcert else self.sslmode,
            sslrootcert=self.sslrootcert,
            connect_timeout=CONNECT_SECONDS,
            application_name="mlplat-databases",
            autocommit=True,
        )

    def login(self, name: str, user: str, password: str) -> dict[str, Any]:
        """Return what an application's secret holds, a URL included: there, a password is percent-encoded."""
        sign = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return {
            "engine": "postgres",
            "host": self.host,
            "port": self.port,
            "dbname": name,
            "username": user,
            "password": password,
            "url": f"postgresql://{sign}@{self.host}:{self.port}/{name}?sslmode={self.sslmode}",
        }


class Setup:
    """One run, as the master. A context manager: two runs wait for each other."""

    def __init__(self, server: Server, master: str, vault: Vault, *, pause: Callable[[float], None] = sleep) -> None:
        self.server = server
        self.vault = vault
        self._master = master
        self._pause = pause

    def __enter__(self) -> Setup:
        self._admin = self._sign_in(MAINTENANCE)
        roles.refuse_old(self._admin)
        roles.lock(self._admin)
        return self

    def __exit__(self, *_: object) -> None:
        # The lock goes with the connection.
        self._admin.close()

    def application(self, name: str, secret: str, *, rotate: bool = False) -> Outcome:
        """Make one application's database agree with its secret, and return what was done."""
        new = roles.ensure(self._admin, name)
        with self._sign_in(name) as inside:
            roles.close_schema(inside, name)
        held = self.vault.read(secret)
        works = held is not None and self._works(name, held)
        if works and not rotate:
            return "made" if new else "unchanged"
        user = roles.other(name, held.get("username") if held else None)
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        # In this order: if it ends between the two, the secret still holds what worked before.
        roles.set_password(self._admin, user, password)
        self.vault.write(secret, self.server.login(name, user, password))
        if works:
            return "rotated"
        return "made" if held is None else "mended"

    def _works(self, name: str, held: Mapping[str, Any]) -> bool:
        """Tell whether what a secret holds is this server's, and lets somebody in."""
        import psycopg

        user, password = str(held.get("username")), str(held.get("password"))
        if held != self.server.login(name, user, password) or user not in roles.users(name):
            return False
        try:
            self.server.connect(name, user, password).close()
        except psycopg.OperationalError:
            # Refused, or gone: in the second case the master's own connection fails too, and says so.
            roles.alive(self._admin)
            return False
        return True

    def _sign_in(self, database: str) -> Connection:
        import psycopg

        for attempt in range(1, ATTEMPTS + 1):
            held = self.vault.read(self._master)
            if held is None or not {"username", "password"} <= held.keys():
                raise MlplatError(
                    f"{self._master}: holds no `username` and `password`", hint="RDS writes it when it makes the master"
                )
            try:
                return self.server.connect(database, held["username"], held["password"])
            except psycopg.OperationalError as error:
                if attempt == ATTEMPTS:
                    raise UnreachableError(
                        f"{self.server.host}:{self.server.port}: {str(error).strip()}",
                        hint="it answers from inside the network only; does its security group admit the cluster's?",
                    ) from error
            self._pause(PAUSE_SECONDS)
        raise AssertionError("unreachable")


def run(
    server: Server, master: str, applications: Mapping[str, str], vault: Vault, *, rotate: Sequence[str] = ()
) -> dict[str, Outcome]:
    """Set every application up, by name and secret, and return what was done. Raises `MlplatError`."""
    if unknown := sorted(set(rotate) - set(applications)):
        raise UsageError(f"there is no application `{unknown[0]}` to rotate", hint=f"one of {', '.join(applications)}")
    for name in applications:
        roles.refuse_name(name)
    with Setup(server, master, vault) as setup:
        return {name: setup.application(name, secret, rotate=name in rotate) for name, secret in applications.items()}


def check(server: Server, applications: Mapping[str, str], vault: Vault) -> dict[str, bool]:
    """Tell of every application whether what its secret holds opens its database on a server, and change nothing.

    The server need not be the one that the secret names: after a restore it is the one beside it.
    """
    import psycopg

    found = {}
    for name, secret in applications.items():
        held = vault.read(secret) or {}
        try:
            server.connect(name, str(held.get("username")), str(held.get("password"))).close()
        except psycopg.OperationalError as error:
            sys.stderr.write(f"{name}: {str(error).strip()}\n")
            found[name] = False
        else:
            found[name] = True
    return found


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlplat.jobs.databases", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--region", help="region of the secrets; otherwise AWS_REGION's")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--master", metavar="SECRET", help="name or ARN of the master's secret")
    what.add_argument("--check", action="store_true", help="only try what the secrets hold, on this server")
    parser.add_argument("--host", required=True, help="the server")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--sslrootcert", metavar="FILE", help="authorities that may vouch for the server")
    parser.add_argument("--application", action="append", required=True, metavar="NAME=SECRET", help="may be repeated")
    parser.add_argument("--rotate", action="append", default=[], metavar="NAME", help="application to rotate")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program: 0 done, 1 could not, 2 wrong usage."""
    given = _arguments(argv)
    server = Server(given.host, given.port, given.sslrootcert)
    applications = dict(each.split("=", 1) for each in given.application if "=" in each)
    try:
        if len(applications) != len(given.application):
            raise UsageError("an application is `NAME=SECRET`, each name once")
        vault = Vault(given.region)
        done: Mapping[str, Outcome | bool] = (
            check(server, applications, vault)
            if given.check
            else run(server, given.master, applications, vault, rotate=given.rotate)
        )
    except MlplatError as error:
        sys.stderr.write(f"error: {error.told()}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(done, indent=2) + "\n")
    return 0 if all(done.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
