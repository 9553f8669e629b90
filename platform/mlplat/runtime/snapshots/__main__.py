"""`python -m mlplat.runtime.snapshots` in a project's folder: a request on standard input, its answer on the output."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mlplat.errors import MlplatError
from mlplat.runtime.snapshots.commands import answer


def main() -> None:
    """Answer one request; what mlplat refuses is an answer as well."""
    try:
        told = {"answer": answer(Path.cwd(), json.load(sys.stdin))}
    except MlplatError as error:
        told = {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
