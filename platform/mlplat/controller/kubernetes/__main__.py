"""`python -m mlplat.controller.kubernetes --settings FILE`: the controller's process in its pod."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path

from mlplat.cluster import Cluster
from mlplat.controller import ending
from mlplat.controller.kubernetes import loop
from mlplat.errors import MlplatError

LAST_SECONDS = 5.0
"""That a pass has to end after SIGTERM, before it is left where it is."""
LOST = 3
"""Exit code of a controller that lost its lease: it ends at once, and is started again to wait for the next one."""


def main() -> None:
    """Run until SIGTERM or SIGINT, or until another controller may have begun."""
    options = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("mlplat").setLevel(logging.INFO)
    stop = threading.Event()
    try:
        with (
            ending.asked(stop, LAST_SECONDS),
            _cluster(options.context) as cluster,
            tempfile.TemporaryDirectory(prefix="mlplat-models-") as models,
        ):
            # A name that no other run has: an older process of the same pod holds nothing in ours.
            holder = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
            kept = loop.run(
                cluster,
                options.settings,
                host=options.host,
                holder=holder,
                models=Path(models),
                stop=stop,
                leave=lambda: os._exit(LOST),
            )
    except MlplatError as error:
        sys.exit(_told(error.told(), error.exit_code))
    except OSError as error:
        sys.exit(_told(str(error), 1))
    sys.exit(0 if kept else LOST)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlplat.controller.kubernetes", description="Reconcile the endpoints of a cluster."
    )
    parser.add_argument("--settings", type=Path, required=True, help="JSON file that `mlplat up` writes")
    parser.add_argument("--host", default="127.0.0.1", help="the address of /health and /metrics")
    parser.add_argument("--context", help="context of the kubeconfig, outside of the cluster")
    return parser


def _cluster(context: str | None) -> Cluster:
    return Cluster.of_context(context) if context else Cluster.of_pod()


def _told(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - its log
    return code


if __name__ == "__main__":
    main()
