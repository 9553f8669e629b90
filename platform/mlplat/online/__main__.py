"""`python -m mlplat.online`: the feature server as a process."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from mlplat.online.app import application
from mlplat.online.projects import Folder, Listed


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m mlplat.online", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--store", type=Path, help="the `feature_store.yaml` of all projects, which are then listed")
    where.add_argument("--folder", type=Path, help="where each project has a folder once it tells of its features")
    parser.add_argument("--project", action="append", default=[], help="a project by Feast's name, to serve below it")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    home = Listed(given.store, given.project) if given.store else Folder(given.folder)
    uvicorn.run(application(home), host=given.host, port=given.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
