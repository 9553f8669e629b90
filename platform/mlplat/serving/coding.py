"""gzip, in and out: bodies that come compressed, within bounds, and answers that are worth it."""

from __future__ import annotations

import zlib
from functools import lru_cache

from mlplat.errors import MlplatError

SMALLEST = 4096
"""Bytes from which an answer is compressed; below it the time is lost and hardly a packet is won."""
LEVEL = 1
"""Of JSON and metrics, the fastest level leaves a fifth and takes a third of the default's time."""
_WINDOW = 16 + zlib.MAX_WBITS  # gzip's own header


class CodingError(MlplatError):
    """A body is not coded as its headers say (400), in a way not read here (415), or holds too much (413)."""

    def __init__(self, status: int, message: str, headers: bytes = b"") -> None:
        self.status, self.headers = status, headers
        super().__init__(message)


def is_coded(headers: dict[bytes, bytes]) -> bool:
    """Tell whether a body is compressed. Raises `CodingError` for another coding than gzip."""
    coding = headers.get(b"content-encoding")
    if coding is None:
        return False
    name = coding.strip().lower()
    if name in {b"gzip", b"x-gzip"}:
        return True
    if name in {b"", b"identity"}:
        return False
    shown = name[:40].decode("latin-1")
    raise CodingError(415, f"content-encoding: must be gzip, not {shown}", b"accept-encoding: gzip\r\n")


def decompress(body: bytes, limit: int) -> bytes:
    """Return what a gzip body holds, never more than `limit` bytes of it in memory. Raises `CodingError`."""
    parts, size = [], 0
    while body:
        stream = zlib.decompressobj(_WINDOW)
        try:
            part = stream.decompress(body, limit + 1 - size)
        except zlib.error as error:
            raise CodingError(400, f"the body is no gzip: {error}") from error
        size += len(part)
        if size > limit:
            raise CodingError(413, f"the body is larger than {limit} bytes once decompressed")
        if not stream.eof:
            raise CodingError(400, "the body is no whole gzip: it ends too early")
        parts.append(part)
        body = stream.unused_data  # a gzip file may be several, one behind the other
    return b"".join(parts)


def compress(body: bytes) -> bytes:
    """Return a body as gzip."""
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW)
    return stream.compress(body) + stream.flush()


def wanted(accepted: bytes | None, size: int) -> bool:
    """Tell whether a client that accepts these codings gets a body of `size` bytes compressed."""
    return accepted is not None and size >= SMALLEST and _accepts_gzip(accepted[:200])


@lru_cache(maxsize=64)
def _accepts_gzip(accepted: bytes) -> bool:
    """Tell whether gzip is among what a client accepts, and not with a weight of nothing (RFC 9110, 12.5.3)."""
    weights: dict[bytes, bool] = {}
    for item in accepted.lower().split(b","):
        name, _, weight = item.partition(b";")
        weights[name.strip()] = not _is_zero(weight)
    return weights.get(b"gzip", weights.get(b"*", False))


def _is_zero(weight: bytes) -> bool:
    name, _, value = weight.strip().partition(b"=")
    try:
        return name.strip() == b"q" and float(value) == 0
    except ValueError:
        return False
