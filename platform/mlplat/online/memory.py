"""Keeping Feast's memory of a registry true: what it remembers is of the registry that was read last, and of no other.

Feast 0.67 remembers what it has made of a registry by the address of the object that it was read into. The object after
the next one may lie there again, and is then taken for the former: an entity that is there does not exist. Threads
that ask for two projects at once can be given each other's. What is made of a registry for a request is remembered by
Feast once more, by when it was read; so nothing is lost where the first memory goes.
"""

from __future__ import annotations

import threading
from typing import Any

from feast.infra.registry import proto_registry_utils


def forget_addresses() -> None:
    """Have Feast look into the registry that it is given, whatever lay at its address before."""
    for name, function in list(vars(proto_registry_utils).items()):
        if callable(function) and hasattr(function, "__wrapped__"):
            setattr(proto_registry_utils, name, function.__wrapped__)


def read_in_turn(registry: Any) -> None:
    """Have a registry's readings follow each other, so that none that began earlier is the last one."""
    read, turn = registry.refresh, threading.RLock()

    def refresh(*given: Any, **named: Any) -> None:
        with turn:
            read(*given, **named)

    registry.refresh = refresh
