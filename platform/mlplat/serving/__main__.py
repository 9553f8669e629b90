"""`python -m mlplat.serving`: one model server process."""

from __future__ import annotations

import contextlib
import os
import sys

# numpy and scikit-learn read these when they are imported. A server is one thread wide: with a pool a row, which takes
# microseconds, would wait for threads that other servers on the computer need as well.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_variable] = "1"
# The log's writer allocates a part at a time; an allocator of Arrow's own would keep twice that for good.
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
M_ARENA_MAX = -8
"""glibc's number for how many heaps threads may have (malloc.h)."""


def _one_heap() -> None:
    """Let all threads share one heap: each of their own would keep what it once needed. Not to be had everywhere."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def main() -> int:
    """Serve a model until the process is told to stop; return the exit code."""
    from mlplat.errors import MlplatError
    from mlplat.serving.options import parse

    _one_heap()
    try:
        options = parse()
        from mlplat.serving.server import serve

        serve(options)
    except MlplatError as error:
        print(f"error: {error.told()}", file=sys.stderr)  # noqa: T201 - its log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
