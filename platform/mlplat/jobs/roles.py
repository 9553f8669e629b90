"""PostgreSQL's side of an application: a role that owns, two users that act as it, a database nobody else enters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, LiteralString

from mlplat.errors import MlplatError, UnreachableError, UsageError

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

OLDEST = 150000
"""Server's number of version: from it on, nobody but a database's owner makes anything in its schema `public`."""
LOCK = 0x6D6C706C6174
"""Key by which two runs wait for each other, the letters of `mlplat`."""
SUFFIXES = ("a", "b")
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
"""What an application may be called: a user's name, two signs longer, still fits PostgreSQL's 63."""


def refuse_name(name: str) -> None:
    """Raise `UsageError` for a name that no application can have."""
    if not NAME.fullmatch(name) or name.startswith("pg_") or name in {"postgres", "rdsadmin", "template0", "template1"}:
        raise UsageError(
            f"`{name}` cannot be an application's name",
            hint="use at most 60 small letters, digits and `_`, beginning with a letter",
        )


def refuse_old(admin: Connection) -> None:
    """Raise `MlplatError` for a server on which everybody may make tables everywhere."""
    if admin.info.server_version < OLDEST:
        raise MlplatError(f"PostgreSQL {admin.info.server_version // 10000} is older than 15", hint="upgrade it first")


def lock(admin: Connection) -> None:
    """Wait until no other run has the server; ending the connection gives it back."""
    admin.execute("SELECT pg_advisory_lock(%s)", [LOCK])


def alive(admin: Connection) -> None:
    """Raise `UnreachableError` where the master's own connection has gone."""
    import psycopg

    try:
        admin.execute("SELECT 1")
    except psycopg.OperationalError as error:
        raise UnreachableError(f"the database does not answer any more: {str(error).strip()}") from error


def users(name: str) -> tuple[str, ...]:
    """Return an application's two users."""
    return tuple(f"{name}_{suffix}" for suffix in SUFFIXES)


def other(name: str, user: str | None) -> str:
    """Return the user that is not the given one: the one whose password nobody has."""
    first, second = users(name)
    return second if user == first else first


def ensure(admin: Connection, name: str) -> bool:
    """Make what an application lacks of role, users and database, and tell whether its database was made."""
    if not _exists(admin, "pg_roles", "rolname", name):
        _do(admin, "CREATE ROLE {} NOLOGIN", name)
    # To make a database for a role, the master, who is no superuser on RDS, must be able to act as it.
    _do(admin, "GRANT {} TO CURRENT_USER", name)
    for user in users(name):
        if not _exists(admin, "pg_roles", "rolname", user):
            _do(admin, "CREATE ROLE {} LOGIN", user)
        _do(admin, "GRANT {} TO {}", name, user)
        # What either of the two makes belongs to the role, so that the other can alter it.
        _do(admin, "ALTER ROLE {} SET role TO {}", user, name)
    new = not _exists(admin, "pg_database", "datname", name)
    _do(admin, "CREATE DATABASE {} OWNER {}" if new else "ALTER DATABASE {} OWNER TO {}", name, name)
    _do(admin, "REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
    return new


def close_schema(inside: Connection, name: str) -> None:
    """Let nobody but the owner see a database's schema `public`."""
    _do(inside, "SET ROLE {}", name)
    inside.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


def set_password(admin: Connection, user: str, password: str) -> None:
    """Give a user a password. What is sent is its verifier: the server writes statements like this one to its log."""
    from psycopg import sql

    verifier = admin.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
    admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(verifier)))


def _exists(admin: Connection, catalogue: LiteralString, column: LiteralString, name: str) -> bool:
    from psycopg import sql

    asked = sql.SQL("SELECT 1 FROM {} WHERE {} = {}").format(
        sql.Identifier(catalogue), sql.Identifier(column), sql.Literal(name)
    )
    return admin.execute(asked).fetchone() is not None


def _do(connection: Connection, text: LiteralString, *names: str) -> None:
    from psycopg import sql

    connection.execute(sql.SQL(text).format(*(sql.Identifier(each) for each in names)))
