"""Small programs that stand before others in a container, given to `python -c`: the image holds nothing of mlplat."""

from __future__ import annotations

DATABASE_URL = "MLPLAT_DATABASE_URL"

DRIVER = """
import os, re, sys
driver, *names = sys.argv[1].split(",")
given = os.environ["MLPLAT_DATABASE_URL"]
for name in names:
    os.environ[name] = re.sub(r"^postgres(ql)?([+]\\w+)?://", driver + "://", given)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Hands a database's address on, under other names and with the driver that the image has.

A secret holds `postgresql://…`, as every client but SQLAlchemy takes it; that one would look for a driver by default
which is not there. The address is passed by variables alone: arguments can be read by whoever sees the process."""


def with_driver(driver: str, *names: str) -> tuple[str, ...]:
    """Return the beginning of a command whose program finds the database's address in these variables."""
    return ("python", "-c", DRIVER, ",".join((driver, *names)))
