"""Requests that are answered with an error, and how each kind of error is said."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from mlplat.serving.coding import CodingError
from mlplat.serving.columns import InputError
from mlplat.serving.features import LookUpError
from mlplat.serving.model import ModelError
from mlplat.serving.protocol import FormatError, TooManyRowsError


class Problem(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, headers: bytes = b"") -> None:
        self.status, self.message, self.headers = status, message, headers
        super().__init__(message)


def described(error: Exception) -> tuple[int, dict[str, Any], bytes]:
    """Return status, body and headers of an error."""
    if isinstance(error, Problem):
        return error.status, {"error": error.message}, error.headers
    if isinstance(error, CodingError | LookUpError):
        return error.status, {"error": error.message}, error.headers
    if isinstance(error, InputError):
        status = 400 if isinstance(error, FormatError) else 413 if isinstance(error, TooManyRowsError) else 422
        return status, {"error": error.message, "details": list(error.details)}, b""
    if isinstance(error, ModelError):
        return 500, {"error": error.message}, b""
    traceback.print_exception(error, file=sys.stderr)
    return 500, {"error": f"the server failed: {type(error).__name__}"}, b""
