"""`python -m mlplat.controller --settings FILE`: the controller's process."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from mlplat.controller import loop
from mlplat.errors import MlplatError

LAST_SECONDS = 1.0
"""That a pass has to end after SIGTERM, before it is left where it is."""


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m mlplat.controller", description="Reconcile endpoints.")
    parser.add_argument("--settings", type=Path, required=True, help="JSON file that `mlplat up` writes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("mlplat").setLevel(logging.INFO)
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.setitimer(signal.ITIMER_REAL, LAST_SECONDS)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGALRM, _leave)
    try:
        loop.run(options.settings, stop)
    except MlplatError as error:
        parser.exit(error.exit_code, f"error: {error.told()}\n")
    except OSError as error:
        parser.exit(1, f"error: {error}\n")
    finally:
        # It has ended by itself: an interpreter that is being torn down has nobody left to take the alarm.
        signal.setitimer(signal.ITIMER_REAL, 0)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    # Whatever is waited for, the next controller goes on from the documents.
    sys.exit(0)


if __name__ == "__main__":
    main()
