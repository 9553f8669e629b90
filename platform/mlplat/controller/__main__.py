"""`python -m mlplat.controller --settings FILE`: the controller's process."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from pathlib import Path

from mlplat.controller import ending, loop
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
    try:
        with ending.asked(stop, LAST_SECONDS):
            loop.run(options.settings, stop)
    except MlplatError as error:
        parser.exit(error.exit_code, f"error: {error.told()}\n")
    except OSError as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
