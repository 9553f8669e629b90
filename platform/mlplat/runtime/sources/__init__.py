"""Reading a project's own table from where it lies.

Whatever the source, it first becomes files on this computer (`files.fetch`), of which only new ones are brought; from
there on there is one way of reading. What is brought is kept in the project's `.mlplat/fetched`, which can be removed
at any time: it is brought again.
"""

from mlplat.runtime.sources.reading import load

__all__ = ["load"]
