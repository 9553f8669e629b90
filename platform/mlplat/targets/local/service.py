"""One service on this computer: brought to what it should be, read back as it is, ended.

Both ways in use these: `mlplat up` for all services at once, the engine's provider for one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlplat import codebase, environment
from mlplat.files import PRIVATE, write_atomic, write_if_changed, writing
from mlplat.supervision import AGAIN_SECONDS, Process, Supervisor, locked
from mlplat.targets.local import checks, ports, ready, watchdog
from mlplat.targets.local.folders import service_record
from mlplat.targets.local.plan import is_alive, read_json, stale
from mlplat.targets.local.resolve import Resolved, text

OWNER = "platform"
PATIENCE = 10.0
"""Seconds in which a supervisord that is alive answers, whatever else the computer does."""
Tell = Callable[[str], None]


def bring(state: Path, wanted: Collection[Resolved], tell: Tell, *, who: str, only: bool = False) -> None:
    """Bring services to what they should be, and wait until each is ready; with `only`, end all others.

    A service that is so already is not touched. Raises `StateError`, `NotReadyError` or `InstallError`; what was
    started until then stays.
    """
    prepare({image for each in wanted for image in each.images}, tell)
    supervisor = Supervisor(state)
    with locked(state, who):
        # Long enough for a supervisord on a busy computer: one that is stopped is ended with what it keeps.
        if supervisor.pid(timeout=PATIENCE) is None and (ended := supervisor.end_orphans(patience=AGAIN_SECONDS)):
            tell(f"ended {len(ended)} processes that no supervisord kept: {', '.join(each.name for each in ended)}")
        with writing(state):
            _mend(supervisor, tell)
            _apply(supervisor, wanted, only=only)
    ready.wait(wanted, supervisor, lambda name, seconds: tell(f"{name}: ready after {seconds:.1f} s"))


def prepare(images: Iterable[str], tell: Tell) -> None:
    """Make the environments and the copy of mlplat's code that services run in. Raises `InstallError`."""
    codebase.folder()
    # supervisord itself runs in `platform`.
    names = sorted({"platform", *images})
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        # Every result is asked for, so the first failure is raised.
        list(pool.map(lambda name: environment.service(name, progress=tell), names))
    finally:
        # After an interrupt nothing more is begun.
        pool.shutdown(cancel_futures=True)


def _mend(supervisor: Supervisor, tell: Tell) -> None:
    """Take files out of the way that would keep supervisord from starting; their owners write them again."""
    for path, wrong in supervisor.damaged().items():
        tell(f"{path}: {wrong}: it is kept as {supervisor.put_aside(path).name}, and written again")


def _apply(supervisor: Supervisor, wanted: Collection[Resolved], *, only: bool) -> None:
    processes = supervisor.processes()
    dead = {each.name for each in wanted if not is_alive(processes.get(each.name))}
    # Of what runs as well: one that is given another port ends before it takes that.
    ports.refuse_taken(wanted, _ports(supervisor.state, wanted, processes))
    checks.refuse_damaged(supervisor.state, dead)
    # supervisord restarts what differs in its own file; it does not see a service's changed files, nor does it start
    # again what ended and was given up.
    again = dead | {each.name for each in wanted if stale(each.files)}
    programs = {} if only else supervisor.read(OWNER)
    for each in wanted:
        _write(supervisor.state, each)
        programs[each.name] = each.program
    supervisor.write(OWNER, programs.values())
    supervisor.write(watchdog.OWNER, [watchdog.program(supervisor.state, codebase.folder())])
    if not watchdog.is_awake(processes.get(watchdog.NAME)):
        again.add(watchdog.NAME)
    if supervisor.pid() is None:
        supervisor.start(environment.service_folder("platform") / "bin" / "python")
        return
    for name in sorted(again - supervisor.apply()):
        supervisor.restart(name)


def _ports(state: Path, wanted: Iterable[Resolved], processes: Mapping[str, Process]) -> set[int]:
    """Return the ports of the platform's services that run: as their records say, or as they should be."""
    meant = {each.name: each.ports for each in wanted}
    alive = [name for name, process in processes.items() if is_alive(process)]
    found = (_recorded(state, name) or meant.get(name, {}) for name in alive)
    return {port for ports in found for port in ports.values()}


def _recorded(state: Path, name: str) -> dict[str, int]:
    record = read_json(service_record(state, name))
    return record["ports"] if isinstance(record, dict) and isinstance(record.get("ports"), dict) else {}


def _write(state: Path, resolved: Resolved) -> None:
    for path, content in {**resolved.files, **resolved.live}.items():
        write_if_changed(Path(path), text(content), mode=PRIVATE)
    for path, content in resolved.seeds.items():
        # What cannot be read is nobody's: whoever owns it writes it again.
        if read_json(Path(path)) is None:
            write_atomic(Path(path), text(content), mode=PRIVATE)
    write_if_changed(service_record(state, resolved.name), text(resolved.document()), mode=PRIVATE)


def read(state: Path, name: str) -> Resolved | None:
    """Return a service as it lies on this computer: its program, and what its files hold now; None without one."""
    program = Supervisor(state).read(OWNER).get(name)
    kept = read_json(service_record(state, name))
    if program is None or kept is None:
        return None
    made = Resolved.parse(kept)
    return Resolved(
        program=program,
        ready=made.ready,
        ports=made.ports,
        images=made.images,
        files={path: read_json(Path(path)) for path in made.files},
        live={path: read_json(Path(path)) for path in made.live},
        seeds=made.seeds,
    )


def runs(state: Path, name: str) -> bool:
    """Tell whether a service's process runs or is being started."""
    return is_alive(Supervisor(state).processes().get(name))


def remove(state: Path, name: str, *, who: str) -> None:
    """End a service; what it keeps stays. Raises `StateError`."""
    supervisor = Supervisor(state)
    if not state.is_dir():
        return
    with locked(state, who):
        left = [program for program in supervisor.read(OWNER).values() if program.name != name]
        supervisor.write(OWNER, left)
        if not left:
            supervisor.write(watchdog.OWNER, [])
        if supervisor.pid() is not None:
            supervisor.apply()
        service_record(state, name).unlink(missing_ok=True)
