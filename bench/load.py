"""Load from one `wrk` process: what it is told, and what it tells."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlplat.errors import MlplatError

MARK = "mlplat-bench "
WAIT_SECONDS = 10
"""Longest wait for one answer; a longer one counts as an error."""
WARM_SECONDS = 1

# wrk's own report rounds, and leaves out socket errors of a kind that did not occur; this line does neither.
_DONE = """
done = function(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '%s{"requests":%d,"microseconds":%d,"errors":%d,"p50":%d,"p99":%d,"longest":%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
""".replace("%s", MARK)


@dataclass(frozen=True)
class Load:
    """What a server did under load for a few seconds."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    longest_ms: float
    requests: int


class LoadError(MlplatError):
    """A server could not be measured; a row with any error is none."""


def find_wrk() -> str:
    """Return the load generator. Raises `MlplatError` when it is not on PATH."""
    if found := shutil.which("wrk"):
        return found
    raise MlplatError("`wrk`, which makes the load, is not on PATH", hint="Debian and Homebrew have it as `wrk`")


def script(body: bytes) -> str:
    """Return wrk's Lua script that posts a JSON body over and over."""
    text = body.decode()
    level = "="
    while f"]{level}]" in text:
        level += "="
    # A long string loses a line break right behind its bracket, so it gets one to lose.
    lines = [
        'wrk.method = "POST"',
        'wrk.headers["Content-Type"] = "application/json"',
        f"wrk.body = [{level}[\n{text}]{level}]",
    ]
    return "\n".join(lines) + "\n" + _DONE


def parse(output: str) -> Load:
    """Read what the script wrote. Raises `LoadError` when any request failed, or none was answered."""
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    if not lines:
        raise LoadError(f"wrk said nothing that can be read:\n{output.strip()}")
    found = json.loads(lines[-1].removeprefix(MARK))
    if found["errors"]:
        raise LoadError(f"{found['errors']} of {found['requests']} requests failed")
    if not found["requests"]:
        raise LoadError(f"no request was answered within {found['microseconds'] / 1e6:.1f} s")
    return Load(
        requests_per_second=found["requests"] / found["microseconds"] * 1e6,
        p50_ms=found["p50"] / 1000,
        p99_ms=found["p99"] / 1000,
        longest_ms=found["longest"] / 1000,
        requests=found["requests"],
    )


def measure(url: str, body: bytes, *, connections: int, seconds: int) -> Load:
    """Post a body for that many seconds over that many connections. Raises `LoadError`."""
    with tempfile.TemporaryDirectory(prefix="mlplat-wrk-") as folder:
        lua = Path(folder, "post.lua")
        lua.write_text(script(body))
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{WAIT_SECONDS}s", "-s", str(lua)]
        done = subprocess.run(
            [find_wrk(), *options, url],
            capture_output=True,
            text=True,
            timeout=seconds + 3 * WAIT_SECONDS,
            check=False,
        )
    if done.returncode:
        raise LoadError(f"wrk ended with {done.returncode}: {done.stderr.strip()}")
    return parse(done.stdout)


def warm(url: str, body: bytes, connections: int = 8) -> None:
    """Let a server answer for a second before it is measured. Raises `LoadError`."""
    measure(url, body, connections=connections, seconds=WARM_SECONDS)
