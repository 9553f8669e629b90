"""What the engine's provider does on this computer, kind by kind.

`diff` and `read` look at what lies and runs here, and not at the engine's memory, so whatever happened in between
shows; in a preview nothing is made.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlplat.targets.local.provider.connection import ConnectionKind
from mlplat.targets.local.provider.foundation import FoundationKind
from mlplat.targets.local.provider.kind import Kind
from mlplat.targets.local.provider.service import ServiceKind

KINDS: Mapping[str, Kind] = {
    "mlplat:local:Foundation": FoundationKind(),
    "mlplat:local:Service": ServiceKind(),
    "mlplat:local:Connection": ConnectionKind(),
}
"""Every kind by its type token."""
