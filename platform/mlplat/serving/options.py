"""What the model server is told when it is started."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Port on 127.0.0.1; 0 takes a free one, which the start line names."""
    waiting: int = 64
    """Requests admitted at a time; the next one is told to come again (503)."""
    body_bytes: int = 8 * 2**20
    rows: int = 10_000
    """Rows one request may hold."""
    stop_seconds: int = 8
    """Seconds that running requests have after SIGTERM."""
    log_dir: Path | None = None
    """Folder of the prediction log; None keeps none."""
    log_rows: int = 10_000
    """Rows after which a part is written."""
    log_seconds: float = 60.0
    """Age of a part's first row after which it is written."""
    log_keep_bytes: int = 256 * 2**20
    """Size above which the oldest parts are removed."""


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; leaves with exit code 2 when it is wrong."""
    return Options(**vars(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlplat.serving", description="Serve one model on 127.0.0.1.")
    add = parser.add_argument
    add("--bundle", type=Path, required=True, help="folder of the model")
    add("--digest", required=True, help="digest that the folder has to have, sha256:…")
    add("--endpoint", type=Name.parse, required=True, help="endpoint it answers for, as project/name")
    add("--revision", required=True, help="revision of the endpoint")
    add("--model-version", required=True, help="version of the model in the registry")
    add("--port", type=_at_least(0), required=True, help="port; 0 takes a free one")
    add("--waiting", type=_at_least(1), default=Options.waiting, help="requests admitted at a time (%(default)s)")
    add("--body-bytes", type=_at_least(1), default=Options.body_bytes, help="size of a request (%(default)s)")
    add("--rows", type=_at_least(1), default=Options.rows, help="rows of a request (%(default)s)")
    add("--stop-seconds", type=_at_least(0), default=Options.stop_seconds, help="time to end requests (%(default)s)")
    add("--log-dir", type=Path, help="folder of the prediction log; without it none is kept")
    add("--log-rows", type=_at_least(1), default=Options.log_rows, help="rows of one part (%(default)s)")
    add("--log-seconds", type=float, default=Options.log_seconds, help="longest wait for a part (%(default)s)")
    add("--log-keep-bytes", type=_at_least(0), default=Options.log_keep_bytes, help="size to keep (%(default)s)")
    return parser


def _at_least(least: int) -> type[int]:
    class Whole(int):
        def __new__(cls, text: str) -> Whole:
            number = super().__new__(cls, text)
            if number < least:
                raise argparse.ArgumentTypeError(f"must be at least {least}, not {text}")
            return number

    Whole.__name__ = "whole number"
    return Whole
