"""The scripts of `docs` that write pages, as modules."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from commands import ROOT


def script(name: str) -> ModuleType:
    """Return one of them, which may import its neighbours."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "docs"))
