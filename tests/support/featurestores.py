"""Where a cluster's feature server keeps values: a real PostgreSQL, or DynamoDB as moto speaks it on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import psycopg
from moto.server import ThreadedMotoServer

import awsparts
import postgres
from commands import free_ports
from mlplat.services import Ref
from mlplat.services.cluster.features import online
from mlplat.spec.platform import PlatformSpec, parse_platform

TEAMS = {"sky": {"projects": ["late-flights", "delays"]}}
PREFIX = "acme.online."
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'features'"


@dataclass(frozen=True)
class Kept:
    """One of the two, while it runs."""

    spec: PlatformSpec
    """A platform that keeps values there."""
    tables: Callable[[], list[str]]
    """Returns the names of tables of `weather` and of a view of many letters, a dot between project and view."""
    away: Callable[[], AbstractContextManager[None]]
    """Takes it away while the body runs."""
    long_names: bool
    """Whether a view of 60 letters has a table."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the feature server's process is told beside the address of PostgreSQL."""


@contextmanager
def administrator(database: postgres.Postgres) -> Iterator[psycopg.Connection[Any]]:
    """Sign in to PostgreSQL as its superuser."""
    who: dict[str, Any] = {"user": postgres.SUPERUSER, "password": postgres.PASSWORD, "dbname": "postgres"}
    with psycopg.connect(host="127.0.0.1", port=database.port, autocommit=True, **who) as admin:
        yield admin


@contextmanager
def on_postgres(database: postgres.Postgres, url: str) -> Iterator[Kept]:
    """Keep values beside the registry."""

    def tables() -> list[str]:
        with psycopg.connect(url) as connection:
            found = connection.execute("SELECT tablename FROM pg_tables WHERE tablename ~ 'weather|ww'").fetchall()
        return sorted(name.replace("_weather", ".weather") for (name,) in found)

    @contextmanager
    def away() -> Iterator[None]:
        with administrator(database) as admin:
            admin.execute("ALTER DATABASE features ALLOW_CONNECTIONS false")
            admin.execute(CUT)
            try:
                yield
            finally:
                admin.execute("ALTER DATABASE features ALLOW_CONNECTIONS true")

    written = {"version": 2, "target": "kubernetes", "engine": {}, "teams": TEAMS}
    spec = parse_platform({**written, "kubernetes": {"context": "none", "production": False}}, "a test")
    yield Kept(spec, tables, away, long_names=False)


@contextmanager
def on_dynamodb(_database: postgres.Postgres | None = None, _url: str = "") -> Iterator[Kept]:
    """Keep values in tables of DynamoDB; moto remembers them while its server is away."""
    # Not one that outgoing connections take: nobody may get it while the server is away.
    host, (port,) = "127.0.0.1", free_ports(1)
    servers = [_dynamodb(host, port)]
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    client = boto3.client(
        "dynamodb",
        region_name=awsparts.REGION,
        endpoint_url=f"http://{host}:{port}",
        **{name.lower(): value for name, value in keys.items()},
    )

    def there() -> list[str]:
        pages = client.get_paginator("list_tables").paginate()
        return [name for page in pages for name in page["TableNames"] if name.startswith(PREFIX)]

    def tables() -> list[str]:
        return sorted(name.removeprefix(PREFIX) for name in there() if "weather" in name or "ww" in name)

    @contextmanager
    def away() -> Iterator[None]:
        servers.pop().stop()
        try:
            yield
        finally:
            servers.append(_dynamodb(host, port))

    spec = awsparts.platform(TEAMS)
    known = {Ref("region"): awsparts.REGION, Ref("account:tables"): PREFIX}
    told = {name: known[value] for name, value in online(spec).env.items() if isinstance(value, Ref)}
    variables = {**keys, **told, "AWS_ENDPOINT_URL_DYNAMODB": f"http://{host}:{port}"}
    try:
        yield Kept(spec, tables, away, long_names=True, variables=variables)
    finally:
        # All servers of a process have one memory.
        for name in there():
            client.delete_table(TableName=name)
        for each in servers:
            each.stop()


def _dynamodb(host: str, port: int) -> ThreadedMotoServer:
    server = ThreadedMotoServer(ip_address=host, port=port, verbose=False)
    server.start()
    return server


STORES: dict[str, Callable[[postgres.Postgres, str], AbstractContextManager[Kept]]] = {
    "postgres": on_postgres,
    "dynamodb": on_dynamodb,
}
