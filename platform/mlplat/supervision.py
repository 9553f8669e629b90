"""Processes kept alive on this computer: one supervisord a platform, one included file an owner.

An owner is `platform` (its services) or `endpoint/<project.name>` (a model's revisions), so that whoever renders an
owner's file whole never removes somebody else's processes. Files are written under one lock; `apply` makes supervisord
start, restart and stop exactly what changed in them.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Error, Fault, ServerProxy, Transport

from mlplat.errors import NotReadyError, StateError
from mlplat.files import PRIVATE, write_atomic, write_if_changed
from mlplat.locking import lock

OWNER_VARIABLE = "MLPLAT_STATE"
"""Set to the state folder in every process started here: what an orphan is known by, whatever became of its parent."""
INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER")
"""All that supervisord takes over from the shell: a service must not depend on who started it, nor see secrets."""
SOCKET_LIMIT = 100
"""Longest path, in bytes, that a UNIX socket may have everywhere (facts: about 104 on macOS, 108 on Linux)."""
LOCK_FILE = "lock"
LOCK_SECONDS = 30.0
ASK_SECONDS = 5.0
"""In which a supervisord that is alive answers a question, on a computer with much else to do."""
AGAIN_SECONDS = 0.5
"""Likewise, for one that did not answer a moment ago."""
ACT_SECONDS = 300.0
"""For what waits until programs have ended, one after the other."""
REMOVALS = 10
"""How often a program is ended that goes on beginning anew."""
STILL_RUNNING = 91
"""Supervisor's own number (`supervisor.xmlrpc.Faults`)."""
NAME_VARIABLE = "SUPERVISOR_PROCESS_NAME"
"""Set by supervisord in every program: the name that an orphan had."""


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
    events: tuple[str, ...] = ()
    """supervisor's events that it is told of on its standard input; its log is then standard error alone."""

    def __post_init__(self) -> None:
        # As they come from JSON.
        object.__setattr__(self, "argv", tuple(self.argv))
        object.__setattr__(self, "events", tuple(self.events))


@dataclass(frozen=True)
class Orphan:
    """A process of the platform that no supervisord keeps."""

    name: str
    """The program's, or `supervisord`."""
    pid: int


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
        path = self.file(owner)
        try:
            first = path.read_text().partition("\n")[0]
            return {item["name"]: Program(**item) for item in json.loads(first[2:])}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StateError(
                f"{path}: cannot be read: {error}", hint="`mlplat up` puts it aside and writes it again"
            ) from error

    def write(self, owner: str, programs: Iterable[Program]) -> bool:
        """Put the owner's programs on disk, or remove its file when there are none; tell whether that changed anything.

        No process is touched before `apply`.
        """
        path, wanted = self.file(owner), sorted(programs, key=lambda program: program.name)
        if not wanted:
            existed = path.exists()
            path.unlink(missing_ok=True)
            return existed
        for program in wanted:
            Path(program.log).parent.mkdir(parents=True, exist_ok=True)
        return write_if_changed(path, self._render(wanted), mode=PRIVATE)

    def owners(self) -> list[str]:
        """Return everyone who has a file here."""
        return sorted(_owner(path) for path in self.programs.glob("*.conf"))

    def damaged(self) -> dict[Path, str]:
        """Return the files that are not what was written, with what is wrong: one of them stops supervisord."""
        found = ((path, self._damage(path)) for path in sorted(self.programs.glob("*.conf")))
        return {path: wrong for path, wrong in found if wrong}

    def put_aside(self, path: Path) -> Path:
        """Take a damaged file out of supervisord's sight, keeping it; return where it is."""
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        return aside

    def _damage(self, path: Path) -> str | None:
        parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
        try:
            programs = self.read(_owner(path))
            parser.read_string(path.read_text())
        except StateError as error:
            return error.message.removeprefix(f"{path}: ")
        except (OSError, ValueError, configparser.Error) as error:
            return f"cannot be read: {str(error).partition(chr(10))[0]}"
        lacking = [each for each in programs.values() if not parser.get(_head(each), "command", fallback="")]
        return f"lacks the program `{lacking[0].name}`" if lacking else None

    def apply(self) -> set[str]:
        """Start, restart and stop what differs between the files and the processes; return the names of those.

        Raises `StateError` on refusal.
        """
        try:
            with self._calls(ACT_SECONDS) as supervisord:
                added, changed, removed = cast("list[list[list[str]]]", supervisord.reloadConfig())[0]
                for name in [*removed, *changed]:
                    _remove(supervisord, name)
                for name in [*changed, *added]:
                    supervisord.addProcessGroup(name)
        except Fault as error:
            raise StateError(f"supervisord refused {self.programs}: {error.faultString}") from error
        except (OSError, http.client.HTTPException, Error) as error:
            raise self._gone(error) from error
        return {*added, *changed, *removed}

    def processes(self) -> dict[str, Process]:
        """Return every program's process, by name; nothing when no supervisord runs."""
        try:
            with self._calls() as supervisord:
                rows = cast("list[dict[str, Any]]", supervisord.getAllProcessInfo())
        except (OSError, http.client.HTTPException, Error):
            return {}
        return {row["name"]: _process(row) for row in rows}

    def restart(self, name: str) -> None:
        """Stop a program and start it again. Raises `StateError` when it is unknown or does not start."""
        try:
            with self._calls(ACT_SECONDS) as supervisord:
                with contextlib.suppress(Fault):
                    supervisord.stopProcess(name)
                supervisord.startProcess(name)
        except Fault as error:
            raise StateError(f"`{name}` could not be restarted: {error.faultString}") from error
        except (OSError, http.client.HTTPException, Error) as error:
            raise self._gone(error) from error

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a program's process a signal; supervisord starts it again if it ends of that. Raises `StateError`."""
        self._act("signalled", name, lambda supervisord: supervisord.signalProcess(name, str(int(number))))

    def begin(self, name: str) -> None:
        """Start a program that was given up, without waiting for it. Raises `StateError`."""
        self._act("started", name, lambda supervisord: supervisord.startProcess(name, False))

    def _act(self, what: str, name: str, call: Callable[[Any], object]) -> None:
        try:
            with self._calls() as supervisord:
                call(supervisord)
        except Fault as error:
            raise StateError(f"`{name}` could not be {what}: {error.faultString}") from error
        except (OSError, http.client.HTTPException, Error) as error:
            raise self._gone(error) from error

    def pid(self, *, timeout: float = ASK_SECONDS) -> int | None:
        """Return supervisord's own process id, or None when none answers within `timeout` seconds, or it is ending."""
        try:
            with ServerProxy("http://localhost", transport=_Socket(self.socket, timeout)) as proxy:
                return cast("int", proxy.supervisor.getPID())
        except (OSError, http.client.HTTPException, Error):
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
            # Asked once more after the deadline: this process may have been stopped itself.
            if child.poll() is not None or (time.monotonic() > deadline and self.pid() is None):
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

    def orphans(self, *, patience: float = ASK_SECONDS) -> list[Orphan]:
        """Return the processes of this platform that no supervisord keeps which answers within `patience` seconds.

        They are what a killed supervisord leaves: still serving under another parent, and in the way of new ones.
        """
        return [orphan for orphan, _ in self._orphans(patience)]

    def end_orphans(self, *, timeout: float = 10, patience: float = ASK_SECONDS) -> list[Orphan]:
        """End orphans, politely first; return them. `patience` is how long supervisord may take to answer, in seconds.

        psutil knows a process by its id and its start: whoever gets the id next is not touched.
        """
        import psutil

        found = self._orphans(patience)
        for _, process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
                # One that was stopped can follow only when it goes on.
                process.send_signal(signal.SIGCONT)
        _, alive = psutil.wait_procs([process for _, process in found], timeout=timeout)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=timeout)
        return [orphan for orphan, _ in found]

    def _orphans(self, patience: float) -> list[tuple[Orphan, Any]]:
        import psutil

        kept = _tree(self.pid(timeout=patience)) | {os.getpid(), *(each.pid for each in psutil.Process().parents())}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid in kept or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                env = process.environ()
                if env.get(OWNER_VARIABLE) == str(self.state):
                    found.append((Orphan(env.get(NAME_VARIABLE, "supervisord"), process.pid), process))
        return found

    def file(self, owner: str) -> Path:
        """Return an owner's file, which need not be there."""
        return self.programs / f"{owner.replace('/', '@', 1)}.conf"

    @contextlib.contextmanager
    def _calls(self, timeout: float = ASK_SECONDS) -> Iterator[Any]:
        # A long call is made only where a short one is answered: a stopped supervisord must not keep whoever waits for
        # it, and the lock that one holds.
        if timeout > ASK_SECONDS and self.pid(timeout=ASK_SECONDS) is None:
            raise ConnectionError("no answer in time")
        with ServerProxy("http://localhost", transport=_Socket(self.socket, timeout)) as proxy:
            yield proxy.supervisor

    def _gone(self, error: Exception) -> StateError:
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
            **_logging(program),
        }
        return "\n".join([f"[{_head(program)}]", *(f"{key}={value}" for key, value in settings.items())])


class _Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class _Socket(Transport):
    """XML-RPC over a UNIX socket, with a limit to the wait: a stopped supervisord still takes connections."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self.path, self.timeout = path, timeout

    def make_connection(self, host: object) -> http.client.HTTPConnection:  # noqa: ARG002 - always this computer
        if (kept := self._connection[1]) is not None:
            return cast("_Connection", kept)
        # Kept there, so that the transport closes it.
        connection = _Connection(self.path, self.timeout)
        self._connection = ("localhost", connection)
        return connection


@contextlib.contextmanager
def locked(state: Path, who: str, timeout: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the platform's one lock of all writers.

    Raises `StateError` naming the holder when it is not to be had within `timeout` seconds, or the folder not written.
    """
    with lock(state / LOCK_FILE, who, timeout=timeout):
        yield


def _remove(supervisord: Any, name: str) -> None:
    """End a program and forget it; one that has just ended and begins anew is ended once more."""
    for left in reversed(range(REMOVALS)):
        supervisord.stopProcessGroup(name)
        try:
            supervisord.removeProcessGroup(name)
        except Fault as error:
            if error.faultCode != STILL_RUNNING or not left:
                raise
            time.sleep(AGAIN_SECONDS)
        else:
            return


def _head(program: Program) -> str:
    return f"{'eventlistener' if program.events else 'program'}:{program.name}"


def _logging(program: Program) -> dict[str, str]:
    # A listener speaks with supervisord on its standard output.
    stream = "stderr" if program.events else "stdout"
    apart = {"events": ",".join(program.events)} if program.events else {"redirect_stderr": "true"}
    return {
        **apart,
        f"{stream}_logfile": _escape(program.log),
        f"{stream}_logfile_maxbytes": str(program.log_bytes),
        f"{stream}_logfile_backups": str(program.log_backups),
    }


def _owner(path: Path) -> str:
    return path.name.removesuffix(".conf").replace("@", "/", 1)


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
    if "\n" in text:
        raise StateError(f"`{text}` holds a break, which cannot be handed to a process")
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
