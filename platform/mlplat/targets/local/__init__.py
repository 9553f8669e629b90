"""The local target: processes on this computer, from packages of the Python index alone, on loopback, without root."""

from __future__ import annotations

from mlplat.targets.local.foundation import provision
from mlplat.targets.local.install import install, plan

__all__ = ["UNSUPPORTED", "install", "plan", "provision"]

_ONE_COMPUTER = "this computer is all there is"
UNSUPPORTED = {
    "aws": "it makes nothing in an account",
    "kubernetes": "it is no cluster",
    "foundation": "its foundation is a folder",
    "pools": _ONE_COMPUTER,
    "teams": _ONE_COMPUTER,
    "cost": "it costs nothing",
}
"""Keys of the spec that mean nothing here, and why."""
