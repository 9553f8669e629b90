"""`python -m mlplat.watchdog --state DIR`: the watchdog's process, as supervisord starts it."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from mlplat.watchdog.listener import Listener
from mlplat.watchdog.loop import ANSWER_SECONDS, EVERY_SECONDS, Watchdog


def main() -> None:
    """Run until SIGTERM, or until supervisord has gone."""
    parser = argparse.ArgumentParser(prog="python -m mlplat.watchdog", description="Restart services that hang.")
    parser.add_argument("--state", type=Path, required=True, help="the platform's state folder")
    parser.add_argument("--every", type=float, default=EVERY_SECONDS, help="seconds between two looks")
    parser.add_argument("--answer", type=float, default=ANSWER_SECONDS, help="seconds that a service has to answer")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _leave)
    Watchdog(options.state, Listener(), every=options.every, answer=options.answer).run()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
