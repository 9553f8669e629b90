"""Services as Kubernetes' own objects: pure functions from values to documents.

The Kubernetes target declares them as resources of the engine; the controller applies those of model revisions itself.
A leaf of a document may be an output that nobody has read yet: no text is made of one here.
"""
