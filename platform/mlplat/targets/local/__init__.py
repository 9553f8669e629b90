"""The local target: processes on this computer, from packages of the Python index alone, on loopback, without root."""

from __future__ import annotations

from mlplat.targets.local.foundation import provision
from mlplat.targets.local.install import install, plan

__all__ = ["install", "plan", "provision"]
