"""Files that must never be taken for empty: what is wrong with one, and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from mlplat.errors import StateError
from mlplat.targets.local.folders import service_data

HEAD = b"SQLite format 3\x00"
QUICK_BYTES = 200_000_000
"""Up to this size all pages of a database are looked at, which takes under a second."""


def damage(path: Path) -> str | None:
    """Return what is wrong with an SQLite file; None for a good one, and for one that is not there."""
    try:
        if not path.exists():
            return None
        with path.open("rb") as file:
            head = file.read(len(HEAD))
        if head != HEAD:
            return "is no SQLite database" if head else "is empty"
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if path.stat().st_size > QUICK_BYTES:
                return None
            found = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
            return None if found == "ok" else f"is damaged: {found}"
    except sqlite3.OperationalError:
        return None  # locked, or to be rolled back by whoever opens it for writing: not damaged
    except (sqlite3.DatabaseError, OSError) as error:
        return f"is damaged: {error}"


def tracking_damage(state: Path) -> str | None:
    """Return what is wrong with MLflow's database, as a sentence; None when nothing is."""
    kept = service_data(state, "tracking")
    path, artifacts = kept / "mlflow.db", kept / "artifacts"
    # MLflow would begin an empty one without a word, and every run and model would seem to be gone.
    if not path.exists() and artifacts.is_dir() and any(artifacts.iterdir()):
        return f"{path}: is not there, while {artifacts} holds artifacts of its runs"
    wrong = damage(path)
    return f"{path}: {wrong}" if wrong else None


def tracking_mend(state: Path) -> str:
    """Return what to do about it."""
    kept = service_data(state, "tracking")
    return (
        f"put back a copy of {kept / 'mlflow.db'} and run `mlplat up`, or move {kept} aside to begin without its runs"
        " and models; endpoints go on serving either way"
    )


def refuse_damaged(state: Path, starting: Collection[str]) -> None:
    """Raise `StateError` when a service that is to be started would read damaged data, or overwrite it."""
    if "tracking" in starting and (wrong := tracking_damage(state)):
        raise StateError(wrong, hint=tracking_mend(state))
