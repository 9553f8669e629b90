"""The watchdog's life: look at every service, restart what hangs, count what ended."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from mlplat.errors import StateError
from mlplat.supervision import Process, Supervisor, locked
from mlplat.uptime import uptime
from mlplat.watchdog.decision import Pauses, Sight, Watch, look
from mlplat.watchdog.listener import Event, Gone, Listener
from mlplat.watchdog.restarts import Counter
from mlplat.watchdog.services import Watched, answers, watched

EVERY_SECONDS = 2.0
ANSWER_SECONDS = 3.0
LATE_SECONDS = 3.0
"""By which a wait may be longer than asked for before the computer counts as busy or just awake."""
END_SECONDS = 5.0
"""That a hung process has to end after SIGTERM."""
HUNG_SECONDS = 120
"""After which a pass of the watchdog's own ends it, with where it hangs in its log."""
WHO = "the watchdog"

log = logging.getLogger("mlplat.watchdog")


class Watchdog:
    """Everything that is remembered between two passes."""

    def __init__(
        self, state: Path, listener: Listener, *, every: float = EVERY_SECONDS, answer: float = ANSWER_SECONDS
    ) -> None:
        self.every, self.answer = every, answer
        self.supervisor = Supervisor(state)
        self.listener = listener
        self.counter = Counter(state, os.getppid())
        # Asked at once, or one that hangs would put off what is seen of the others.
        self.pool = ThreadPoolExecutor(max_workers=8)
        self.watches: dict[str, Watch] = {}
        self.pauses: dict[str, Pauses] = {}
        self.used: dict[str, tuple[int, float]] = {}
        self.reasons: dict[str, str] = {}
        self.told: dict[str, str] = {}

    def run(self) -> None:
        """Go on until supervisord has gone, and our log with it; `mlplat up` starts both again."""
        with contextlib.suppress(Gone):
            while True:
                faulthandler.dump_traceback_later(HUNG_SECONDS, exit=True)
                self.turn()

    def turn(self) -> None:
        """Wait a little, take note of what ended, and look at every service."""
        began = uptime()
        for event in self.listener.wait(self.every):
            self.note(event)
        late = uptime() - began > self.every + LATE_SECONDS
        processes = self.supervisor.processes()
        there = [each for each in watched(self.supervisor.state) if each.name in processes]
        sights = self.pool.map(lambda each: self._see(each, processes[each.name], late=late), there)
        for service, sight in zip(there, list(sights), strict=True):
            self.judge(service, processes[service.name], sight)

    def note(self, event: Event) -> None:
        """Count what ended."""
        if event.kind == "PROCESS_STATE_FATAL":
            log.error("%s: did not start in several tries", event.program)
            return
        why = self.reasons.pop(event.program, "ended of itself")
        log.warning("%s: %s; supervisord starts it again", event.program, why)
        self.counter.add(event.program, why)

    def judge(self, service: Watched, process: Process, sight: Sight) -> None:
        """Restart a service if it has to be."""
        now = time.monotonic()
        if process.state == "FATAL":
            self._revive(service.name, now)
            return
        watch, why = look(self.watches.get(service.name, Watch()), sight, now, service.start_seconds)
        self.watches[service.name] = watch
        self._tell(service.name, sight, watch)
        if why is not None:
            self._restart(service.name, process.pid, why, now)

    def _see(self, service: Watched, process: Process, *, late: bool) -> Sight:
        pid = process.pid if process.state == "RUNNING" else 0
        began = uptime()
        ready = bool(pid) and answers(service, self.answer)
        late = late or uptime() - began > self.answer + LATE_SECONDS
        return Sight(pid, ready, self._has_worked(service.name, pid), _is_traced(pid), late)

    def _has_worked(self, name: str, pid: int) -> bool:
        before = self.used.pop(name, (0, 0.0))
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            self.used[name] = pid, times.user + times.system
            return before[0] == pid and self.used[name] > before
        return False

    def _tell(self, name: str, sight: Sight, watch: Watch) -> None:
        if sight.ready or not sight.pid:
            text = ""
        elif sight.traced:
            text = "does not answer, but a debugger holds it: it is left alone"
        elif watch.failures:
            text = "does not answer"
        else:
            return
        if text and text != self.told.get(name):
            log.warning("%s (pid %d): %s", name, sight.pid, text)
        self.told[name] = text

    def _restart(self, name: str, pid: int, why: str, now: float) -> None:
        if not self._may(name, now):
            return
        # Whoever holds the lock is changing what runs: the next look sees what came of it.
        with contextlib.suppress(StateError), locked(self.supervisor.state, WHO, timeout=0):
            log.error("%s (pid %d): %s: it is restarted", name, pid, why)
            self.pauses[name] = self.pauses.get(name, Pauses()).restarted(now)
            self.reasons[name] = why
            self.supervisor.signal(name, signal.SIGTERM)
            # One that was stopped can follow only when it goes on.
            self.supervisor.signal(name, signal.SIGCONT)
            if not self._has_ended(name, pid):
                self.supervisor.signal(name, signal.SIGKILL)

    def _has_ended(self, name: str, pid: int) -> bool:
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            process = self.supervisor.processes().get(name)
            if process is None or process.pid != pid:
                return True
            time.sleep(0.1)
        return False

    def _revive(self, name: str, now: float) -> None:
        if not self._may(name, now):
            return
        with contextlib.suppress(StateError), locked(self.supervisor.state, WHO, timeout=0):
            self.pauses[name] = self.pauses.get(name, Pauses()).restarted(now)
            log.info("%s: it is tried once more, and otherwise in %.0f s", name, self.pauses[name].seconds)
            self.supervisor.begin(name)

    def _may(self, name: str, now: float) -> bool:
        return self.pauses.get(name, Pauses()).allow(now)


def _is_traced(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_TRACING_STOP)
    return False
