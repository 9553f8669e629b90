"""What the model server is told when it is started."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mlplat.labels import Name


@dataclass(frozen=True)
class Options:
    """One revision of an endpoint: which bundle it serves, where, and within which limits."""

    bundle: Path
    digest: str
    endpoint: Name
    revision: str
    model_version: str
    port: int
    """Port; 0 takes a free one, which the start line names."""
    host: str = "127.0.0.1"
    """The address that it listens on; in a container, which has a network of its own, every one."""
    waiting: int = 1024
    """Requests admitted at a time, however short they are."""
    wait_seconds: float = 1.0
    """Time that those before it may be expected to keep a request waiting; the next one is told to come again (503)."""
    connections: int = 1024
    head_seconds: float = 10.0
    """Time to send a request's headers."""
    body_seconds: float = 10.0
    """Time to send a request's body."""
    idle_seconds: float = 75.0
    """Time that a connection may lie idle."""
    body_bytes: int = 8 * 2**20
    """Size of a request's body, once decompressed too."""
    rows: int = 10_000
    """Rows one request may hold."""
    stop_seconds: int = 8
    """Seconds from SIGTERM to the end: running requests are answered, and the log is written."""
    features: str | None = None
    """URL of the feature server, with Feast's name of the project; None where nothing is looked up."""
    features_timeout_ms: float = 100.0
    """Milliseconds for one request to it, which asks for a hundred keys at most; what waits for one that is under way
    waits `wait_seconds` besides."""
    log_dir: Path | None = None
    """Folder of the prediction log; None keeps none."""
    log_rows: int = 10_000
    """Rows after which a part is written."""
    log_seconds: float = 60.0
    """Age of a part's first row after which it is written."""
    log_keep_bytes: int = 256 * 2**20
    """Size above which the oldest parts are removed."""
    log_keep_seconds: float | None = None
    """Age above which parts are removed; None keeps them for as long as there is room."""
    log_shipped: bool = False
    """Whether parts are taken elsewhere: one that is removed before that is lost, and counted as dropped."""
    log_exclude: tuple[str, ...] = ()
    """Columns that the log leaves out."""
    log_hash: tuple[str, ...] = ()
    """Columns of which the log holds a keyed hash only."""
    log_key: Path | None = None
    """File with the key of those hashes."""


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; leaves with exit code 2 when it is wrong."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    options = Options(**given | {name: tuple(given[name]) for name in ("log_exclude", "log_hash")})
    if options.log_hash and options.log_key is None:
        parser.error("--log-hash needs --log-key")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlplat.serving", description="Serve one model.")
    add = parser.add_argument
    add("--bundle", type=Path, required=True, help="folder of the model")
    add("--digest", required=True, help="digest that the folder has to have, sha256:…")
    add("--endpoint", type=Name.parse, required=True, help="endpoint it answers for, as project/name")
    add("--revision", required=True, help="revision of the endpoint")
    add("--model-version", required=True, help="version of the model in the registry")
    add("--port", type=_at_least(0), required=True, help="port; 0 takes a free one")
    add("--host", type=_address, default=Options.host, help="the address to listen on (%(default)s)")
    add("--waiting", type=_at_least(1), default=Options.waiting, help="requests admitted at a time (%(default)s)")
    add("--wait-seconds", type=_above(0), default=Options.wait_seconds, help="longest expected wait (%(default)s)")
    add("--connections", type=_at_least(1), default=Options.connections, help="connections at a time (%(default)s)")
    add("--head-seconds", type=_above(0), default=Options.head_seconds, help="time to send headers (%(default)s)")
    add("--body-seconds", type=_above(0), default=Options.body_seconds, help="time to send a body (%(default)s)")
    add("--idle-seconds", type=_above(0), default=Options.idle_seconds, help="time between requests (%(default)s)")
    add("--body-bytes", type=_at_least(1), default=Options.body_bytes, help="size of a request (%(default)s)")
    add("--rows", type=_at_least(1), default=Options.rows, help="rows of a request (%(default)s)")
    add("--stop-seconds", type=_at_least(1), default=Options.stop_seconds, help="time to end (%(default)s)")
    add("--features", type=_http, metavar="URL", help="feature server, with the project's name in Feast")
    timeout = "--features-timeout-ms"
    add(timeout, type=_above(0), default=Options.features_timeout_ms, help="time for a look-up (%(default)s)")
    add("--log-dir", type=Path, help="folder of the prediction log; without it none is kept")
    add("--log-rows", type=_at_least(1), default=Options.log_rows, help="rows of one part (%(default)s)")
    add("--log-seconds", type=_above(0), default=Options.log_seconds, help="longest wait for a part (%(default)s)")
    add("--log-keep-bytes", type=_at_least(0), default=Options.log_keep_bytes, help="size to keep (%(default)s)")
    add("--log-keep-seconds", type=_above(0), help="age to keep; without it there is no limit")
    add("--log-shipped", action="store_true", help="parts are taken elsewhere: count those that had no room")
    add("--log-exclude", action="append", default=[], metavar="COLUMN", help="leave a column out of the log")
    add("--log-hash", action="append", default=[], metavar="COLUMN", help="log a column's keyed hash only")
    add("--log-key", type=Path, help="file with the key of the hashes")
    return parser


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is no IP address") from None


def _http(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname:
        raise argparse.ArgumentTypeError(f"`{text}` is no address that begins with `http://`")
    return text


def _at_least(least: int) -> type[int]:
    class Whole(int):
        def __new__(cls, text: str) -> Whole:
            number = super().__new__(cls, text)
            if number < least:
                raise argparse.ArgumentTypeError(f"must be at least {least}, not {text}")
            return number

    Whole.__name__ = "whole number"
    return Whole


def _above(bound: float) -> type[float]:
    class Number(float):
        def __new__(cls, text: str) -> Number:
            number = super().__new__(cls, text)
            if not bound < number < float("inf"):
                raise argparse.ArgumentTypeError(f"must be above {bound:g}, not {text}")
            return number

    Number.__name__ = "number"
    return Number
