"""`python -m mlplat.serving.ship`: bring finished parts of the prediction log from a pod's disk to a bucket.

It runs beside the model server and not in it: what a client of S3 takes of memory, and of a processor while it speaks,
is none of a request's. A part is sent whole under the name that it has here, and only then removed: one that is sent
twice, as after a kill between the two, is the same object. What cannot be sent waits. How much may wait is the server's
to say: it removes the oldest parts, and counts their rows as dropped (`--log-shipped`).
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplat.serving import fetch

PART = "[!.]*.parquet"
"""Finished parts: one that is being written has a hidden name (`mlplat.serving.parts`)."""
LOOK_SECONDS = 2.0
LONGEST_SECONDS = 60.0
"""Longest pause before a store that does not take parts is asked again; each failure in a row doubles it."""


@dataclass(frozen=True)
class Options:
    """Which folder, and where its parts go."""

    folder: Path
    bucket: str
    prefix: str
    """Of the parts' keys, without a slash at its end."""
    stop_seconds: float = 15.0
    """From SIGTERM on, in which what is left is sent."""


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; leaves with exit code 2 when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m mlplat.serving.ship", description="Ship a prediction log.")
    parser.add_argument("--folder", type=Path, required=True, help="folder that the model server writes parts into")
    parser.add_argument("--bucket", required=True, help="bucket that they go to")
    parser.add_argument("--prefix", required=True, help="what their keys begin with")
    parser.add_argument("--stop-seconds", type=float, default=Options.stop_seconds, help="time to end (%(default)s)")
    return Options(**vars(parser.parse_args(arguments)))


def ship(options: Options, objects: Any, stop: threading.Event) -> int:
    """Send parts until `stop` is set, and then what is left; return how many could not be sent.

    It is told to stop after the server has ended, so that nothing more comes.
    """
    pause = LOOK_SECONDS
    while not stop.wait(pause):
        pause = LOOK_SECONDS if send(options, objects) else min(2 * pause, LONGEST_SECONDS)
    end = time.monotonic() + options.stop_seconds
    while not send(options, objects) and (left := end - time.monotonic()) > 0:
        time.sleep(min(1.0, left))
    return len(_parts(options.folder))


def send(options: Options, objects: Any) -> bool:
    """Send the finished parts, the oldest first, up to the first that is not taken; tell whether all were."""
    for part in _parts(options.folder):
        try:
            with part.open("rb") as file:
                objects.put_object(Bucket=options.bucket, Key=f"{options.prefix}/{part.name}", Body=file)
            part.unlink(missing_ok=True)
        except FileNotFoundError:
            continue  # the server has removed it for want of room
        except Exception as error:  # noqa: BLE001 - a pod whose shipper ends takes no requests: it must go on
            where = f"s3://{options.bucket}/{options.prefix}"
            print(f"warning: {part.name} waits: {where} does not take it: {error}", file=sys.stderr)  # noqa: T201 - its log
            return False
    return True


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(PART))


def main() -> int:
    """Ship until SIGTERM or SIGINT; return the exit code."""
    options = parse()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if left := ship(options, fetch.client(), stop):
        print(f"error: {left} parts of the prediction log are lost with this pod", file=sys.stderr)  # noqa: T201 - its log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
