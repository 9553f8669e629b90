"""Settings that are read again when their file has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from mlplat.errors import MlplatError

S = TypeVar("S")

log = logging.getLogger("mlplat.controller")


class Live(Generic[S]):
    """The settings of a file; one that cannot be read leaves the old ones in force."""

    def __init__(self, path: Path, read: Callable[[Path], S]) -> None:
        self.path = path
        self._read = read
        # Looked at first: a file that changes while it is read is then read again.
        self._stamp = self._look()
        self.now = read(path)

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        if (stamp := self._look()) == self._stamp:
            return
        self._stamp = stamp
        try:
            self.now = self._read(self.path)
        except MlplatError as error:
            log.warning("%s; the settings of before stay in force", error.message)
        else:
            log.info("settings were read again")

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino
