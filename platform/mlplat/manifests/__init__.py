"""Services as Kubernetes' own objects: pure functions from values to documents.

The Kubernetes target declares them as resources of the engine; the controller applies those of model revisions itself.
A leaf of a document may be an output that nobody has read yet: no text is made of one here, but by `Place.later`.
"""

from __future__ import annotations

from mlplat.manifests.network import Peer
from mlplat.manifests.place import Place
from mlplat.manifests.workload import workload

__all__ = ["Peer", "Place", "workload"]
