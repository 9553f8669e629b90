"""Processes kept alive on this computer: one supervisord a platform, one included file an owner.

An owner is `platform` (its services) or `endpoint/<project.name>` (a model's revisions), so that whoever renders an
owner's file whole never removes somebody else's processes. Files are written under one lock; `apply` makes supervisord
start, restart and stop exactly what changed in them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

from mlplat.errors import NotReadyError, StateError
from mlplat.files import PRIVATE, write_atomic, write_if_changed

OWNER_VARIABLE = "MLPLAT_STATE"
"""Set to the state folder in every process started here: what an orphan is known by, whatever became of its parent."""
INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")
"""All that supervisord takes over from the shell: a service must not depend on who started it, nor see secrets."""
SOCKET_LIMIT = 100
"""Longest path, in bytes, that a UNIX socket may have everywhere (facts: about 104 on macOS, 108 on Linux)."""
LOCK_SECONDS = 30.0


@dataclass(frozen=True)
class Program:
    """One process to keep alive."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    directory: str
    log: str
    log_bytes: int = 10_000_000
    log_backups: int = 3
    stop_seconds: int = 10
    autorestart: bool = True


@dataclass(frozen=True)
class Process:
    """What became of a program."""

    name: str
    state: str
    """supervisor's word: RUNNING, STARTING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL or UNKNOWN."""
    pid: int
    """0 when nothing runs."""
    started: float
    """Seconds since the epoch."""
    detail: str
    """supervisor's own sentence, such as `Exited too quickly (process log may have details)`."""


class Supervisor:
    """The supervisord of one platform, by its state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.folder = state / "supervisor"
        self.programs = self.folder / "programs"
        self.config = self.folder / "supervisord.conf"
        self.socket = _socket_path(self.folder)

    def read(self, owner: str) -> dict[str, Program]:
        """Return what the owner's file holds, by program name. Raises `StateError` when it cannot be read."""
        path = self._file(owner)
        try:
            first = path.read_text().partition("\n")[0]
            return {item["name"]: Program(**{**item, "argv": tuple(item["argv"])}) for item in json.loads(first[2:])}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StateError(
                f"{path}: cannot be read: {error}", hint="remove the file; `mlplat up` writes it again"
            ) from error

    def write(self, owner: str, programs: Iterable[Program]) -> bool:
        """Put the owner's programs on disk, or remove its file when there are none; tell whether that changed anything.

        No process is touched before `apply`.
        """
        path, wanted = self._file(owner), sorted(programs, key=lambda program: program.name)
        if not wanted:
            existed = path.exists()
            path.unlink(missing_ok=True)
            return existed
        for program in wanted:
            Path(program.log).parent.mkdir(parents=True, exist_ok=True)
        return write_if_changed(path, self._render(wanted), mode=PRIVATE)

    def owners(self) -> list[str]:
        """Return everyone who has a file here."""
        return sorted(path.stem.replace("@", "/", 1) for path in self.programs.glob("*.conf"))

    def apply(self) -> set[str]:
        """Start, restart and stop what differs between the files and the processes; return the names of those.

        Raises `StateError` on refusal.
        """
        try:
            with self._calls() as supervisord:
                added, changed, removed = cast("list[list[list[str]]]", supervisord.reloadConfig())[0]
                for name in [*removed, *changed]:
                    supervisord.stopProcessGroup(name)
                    supervisord.removeProcessGroup(name)
                for name in [*changed, *added]:
                    supervisord.addProcessGroup(name)
        except Fault as error:
            raise StateError(f"supervisord refused {self.programs}: {error.faultString}") from error
        except OSError as error:
            raise self._gone(error) from error
        return {*added, *changed, *removed}

    def processes(self) -> dict[str, Process]:
        """Return every program's process, by name; nothing when no supervisord runs."""
        try:
            with self._calls() as supervisord:
                rows = cast("list[dict[str, Any]]", supervisord.getAllProcessInfo())
        except OSError:
            return {}
        return {row["name"]: _process(row) for row in rows}

    def restart(self, name: str) -> None:
        """Stop a program and start it again. Raises `StateError` when it is unknown or does not start."""
        try:
            with self._calls() as supervisord:
                with contextlib.suppress(Fault):
                    supervisord.stopProcess(name)
                supervisord.startProcess(name)
        except Fault as error:
            raise StateError(f"`{name}` could not be restarted: {error.faultString}") from error
        except OSError as error:
            raise self._gone(error) from error

    def pid(self) -> int | None:
        """Return supervisord's own process id, or None when none answers."""
        try:
            with self._calls() as supervisord:
                return cast("int", supervisord.getPID())
        except (OSError, Fault):
            return None

    def start(self, python: Path, *, timeout: float = 20) -> None:
        """Start supervisord on this folder unless it runs. Raises `NotReadyError` with the end of its log."""
        if self.pid() is not None:
            return
        self.programs.mkdir(parents=True, exist_ok=True)
        log = self.state / "logs" / "supervisord.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.config, self._config(log), mode=PRIVATE)
        with log.with_name("supervisord.start.log").open("wb") as output:
            child = subprocess.Popen(
                [str(python), "-m", "supervisor.supervisord", "-n", "-c", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=self.state, env=_environment(self.state),
            )  # fmt: skip
        deadline = time.monotonic() + timeout
        while self.pid() is None:
            if child.poll() is not None or time.monotonic() > deadline:
                tail = log.with_name("supervisord.start.log").read_text(errors="replace")[-2000:]
                raise NotReadyError(f"supervisord did not start:\n{tail.strip()}")
            time.sleep(0.02)
        child.returncode = 0  # it outlives this process, so Popen must not remark that nobody waited for it

    def stop(self, *, timeout: float = 60) -> None:
        """End every program and supervisord itself, and wait. Raises `NotReadyError` past `timeout` seconds."""
        import psutil

        pid = self.pid()
        if pid is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            daemon = psutil.Process(pid)
            with self._calls() as supervisord:
                supervisord.shutdown()
            try:
                daemon.wait(timeout)
            except psutil.TimeoutExpired as error:
                raise NotReadyError(f"supervisord (pid {pid}) did not end within {timeout:.0f} s") from error

    def orphans(self) -> list[int]:
        """Return the processes of this platform that no living supervisord keeps, by process id.

        They are what a killed supervisord leaves: still serving under another parent, and in the way of new ones.
        """
        import psutil

        kept = _tree(self.pid())
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid not in kept and process.environ().get(OWNER_VARIABLE) == str(self.state):
                    found.append(process.pid)
        return [pid for pid in found if pid != os.getpid()]

    def end_orphans(self, *, timeout: float = 10) -> list[int]:
        """End orphans, politely first; return their process ids."""
        import psutil

        processes = []
        for pid in self.orphans():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                process.terminate()
                processes.append(process)
        _, alive = psutil.wait_procs(processes, timeout=timeout)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=timeout)
        return [process.pid for process in processes]

    def _file(self, owner: str) -> Path:
        return self.programs / f"{owner.replace('/', '@', 1)}.conf"

    @contextlib.contextmanager
    def _calls(self) -> Iterator[Any]:
        from supervisor.xmlrpc import SupervisorTransport

        # The host is never used: the transport speaks to the socket.
        transport = SupervisorTransport("", "", f"unix://{self.socket}")
        with contextlib.closing(transport):
            yield ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _gone(self, error: OSError) -> StateError:
        return StateError(f"supervisord does not answer on {self.socket}: {error}", hint="`mlplat up` starts it again")

    def _config(self, log: Path) -> str:
        return (
            f"[unix_http_server]\nfile={_escape(str(self.socket))}\nchmod=0600\n\n"
            f"[supervisord]\nnodaemon=true\nlogfile={_escape(str(log))}\nlogfile_maxbytes=1MB\nlogfile_backups=1\n"
            f"pidfile={_escape(str(self.folder / 'supervisord.pid'))}\nsilent=true\n\n"
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\n"
            f"[include]\nfiles={_escape(str(self.programs))}/*.conf\n"
        )

    def _render(self, programs: list[Program]) -> str:
        # The first line is the file's own truth, for `read`; the rest is what supervisor makes of it.
        head = "; " + json.dumps([asdict(program) for program in programs])
        return "\n\n".join([head, *(self._section(program) for program in programs)]) + "\n"

    def _section(self, program: Program) -> str:
        settings = {
            "command": _escape(shlex.join(program.argv)),
            "directory": _escape(program.directory),
            "environment": _variables({**program.env, OWNER_VARIABLE: str(self.state)}),
            "autorestart": "true" if program.autorestart else "unexpected",
            "startsecs": "1",
            "startretries": "5",
            "stopwaitsecs": str(program.stop_seconds),
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": _escape(program.log),
            "stdout_logfile_maxbytes": str(program.log_bytes),
            "stdout_logfile_backups": str(program.log_backups),
        }
        return "\n".join([f"[program:{program.name}]", *(f"{key}={value}" for key, value in settings.items())])


@contextlib.contextmanager
def locked(state: Path, who: str, timeout: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the platform's one lock of all writers.

    Raises `StateError` naming the holder when it is not to be had within `timeout` seconds, or the folder not written.
    """
    from filelock import FileLock, Timeout

    holder = state / "lock.holder"
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = FileLock(state / "lock", timeout=timeout)
        lock.acquire()
    except Timeout as error:
        raise StateError(f"{state} is locked by {_holder(holder)}", hint="wait for it to end, and try again") from error
    except OSError as error:
        raise StateError(
            f"{state}: cannot be written: {error.strerror}", hint="set MLPLAT_STATE_DIR to another folder"
        ) from error
    try:
        write_atomic(holder, f"{who} (pid {os.getpid()})\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text().strip()
    return "another process"


def _process(row: Mapping[str, Any]) -> Process:
    return Process(
        row["name"], row["statename"], row["pid"], float(row["start"]), row["spawnerr"] or row["description"]
    )


def _tree(pid: int | None) -> set[int]:
    import psutil

    if pid is None:
        return set()
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return {pid, *(child.pid for child in process.children(recursive=True))}
    return {pid}


def _socket_path(folder: Path) -> Path:
    natural = folder / "supervisor.sock"
    if len(str(natural).encode()) <= SOCKET_LIMIT:
        return natural
    short = Path(tempfile.gettempdir()) / f"mlplat-{os.getuid()}"
    short.mkdir(mode=0o700, exist_ok=True)
    return short / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.sock"


def _environment(state: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "PATH": os.defpath, OWNER_VARIABLE: str(state)}


def _escape(text: str) -> str:
    # supervisor expands %(…)s everywhere, and this one before it looks for doubled signs.
    if "%(here)s" in text:
        raise StateError(f"`{text}` holds `%(here)s`, which cannot be handed to a process")
    return text.replace("%", "%%")


def _variables(env: Mapping[str, str]) -> str:
    return ",".join(f"{name}={_quoted(name, value)}" for name, value in sorted(env.items()))


def _quoted(name: str, value: str) -> str:
    # supervisor splits without escapes, and takes every quote from both ends of a value.
    mark = "'" if '"' in value else '"'
    if mark in value or "\n" in value or value.strip("'\"") != value:
        raise StateError(
            f"{name}: supervisor cannot hand over a value with both kinds of quotes, one at an end, or a break"
        )
    return f"{mark}{_escape(value)}{mark}"
