"""`python -m mlplat.online`: the feature server as a process."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from mlplat.online.app import application


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m mlplat.online", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="the `feature_store.yaml` of all projects")
    parser.add_argument(
        "--project", action="append", required=True, help="a project by Feast's name, to serve below it"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    app = application(given.store, given.project)
    uvicorn.run(app, host=given.host, port=given.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
