"""A real PostgreSQL on a free port of this computer, with TLS and a log of every statement, for one test module."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from commands import PATIENCE, free_ports

SUPERUSER = "rdsadmin"
MASTER = "mlplat"
PASSWORD = "master's pass/word %41"  # noqa: S105 - of a server that lives as long as a test
SETTINGS = {
    "unix_socket_directories": "",
    "ssl": "on",
    "log_statement": "all",
    "logging_collector": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "50",
}


@dataclass(frozen=True)
class Postgres:
    """A server that runs."""

    folder: Path
    port: int

    @property
    def certificate(self) -> Path:
        """Return its certificate, which vouches for itself, for `localhost`."""
        return self.folder / "server.crt"

    def log(self) -> str:
        """Return what it has written down, every statement included."""
        return (self.folder / "log").read_text(errors="replace")


def binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`: on PATH, or where Debian puts them."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextmanager
def required() -> Iterator[Postgres]:
    """Start one; skip the test where there is none, and fail it where `MLPLAT_REQUIRE` asks for one."""
    programs = binaries()
    if programs is None:
        if "postgres" in os.environ.get("MLPLAT_REQUIRE", "").split(","):
            pytest.fail("there is no PostgreSQL, and MLPLAT_REQUIRE asks for it")
        pytest.skip("there is no PostgreSQL on this computer")
    with running(programs) as found:
        yield found


@contextmanager
def running(programs: Path, host: str = "127.0.0.1") -> Iterator[Postgres]:
    """Start a server whose master is no superuser, as on RDS, and end it with all that it kept.

    `host` is the one address on which it listens: loopback, or that of a test node's bridge.
    """
    # Not below a test's own folder: that is closed to the user which the server must then be.
    folder = Path(tempfile.mkdtemp(prefix="mlplat-postgres-"))
    try:
        _initialise(programs, folder)
        (port,) = free_ports(1)
        with (folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write(f"hostssl all all {host}/24 scram-sha-256\n")
        told = {**SETTINGS, "listen_addresses": host}
        settings = [part for name, value in told.items() for part in ("-c", f"{name}={value}")]
        patience = str(60 * PATIENCE)
        pg_ctl: list[str | Path] = [programs / "pg_ctl", "-D", folder / "data", "-w", "-t", patience]
        pg_ctl += ["-l", folder / "log"]
        _as_server(*pg_ctl, "-o", " ".join(f"'{each}'" for each in [*settings, "-p", str(port)]), "start")
        try:
            yield Postgres(folder, port)
        finally:
            _as_server(*pg_ctl, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _initialise(programs: Path, folder: Path) -> None:
    password = folder / "password"
    password.write_text(PASSWORD)
    _certificate(folder)
    if os.getuid() == 0:
        for each in [folder, *folder.iterdir()]:
            shutil.chown(each, _server_user())
    data = folder / "data"
    given: list[str | Path] = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", f"--pwfile={password}"]
    _as_server(programs / "initdb", "-D", data, "-U", SUPERUSER, *given)
    for name in ("server.crt", "server.key"):
        _as_server("cp", folder / name, data / name)
    _single(programs, data, f"CREATE ROLE {MASTER} LOGIN CREATEDB CREATEROLE PASSWORD $${PASSWORD}$$;\n")


def _single(programs: Path, data: Path, statements: str) -> None:
    call: list[str | Path] = [programs / "postgres", "--single", "-D", data, "postgres"]
    _as_server(*call, text=statements)


def _as_server(*argv: str | Path, text: str | None = None) -> None:
    # PostgreSQL refuses to work as root.
    user = _server_user() if os.getuid() == 0 else None
    done = subprocess.run(
        argv,
        user=user,
        extra_groups=[] if user else None,
        cwd="/",
        input=text,
        stdin=None if text else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120 * PATIENCE,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
    )
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}"


def _server_user() -> str:
    import pwd

    return "postgres" if any(each.pw_name == "postgres" for each in pwd.getpwall()) else "nobody"


def _certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(private)
    (folder / "server.key").chmod(0o600)
