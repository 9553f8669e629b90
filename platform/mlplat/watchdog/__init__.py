"""RUNS on the platform: restarts services that run but do not answer, and counts what ended.

supervisord brings back what ends; it does not see what hangs. This asks each service what `mlplat up` asks when it
waits for it. supervisord keeps the watchdog itself alive, and tells it as an event listener of every process that
ended; a pass of its own that hangs ends it. Model servers are the controller's.
"""

from __future__ import annotations

__all__: list[str] = []
