"""Small container images made of this computer's own programs: no builder, no registry, no base."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubeprocesses import run

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(path: Path, reference: str, files: Mapping[str, Path], command: Sequence[str]) -> Path:
    """Write an image of some files, by their path in it, as an archive that containerd imports."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name, source in sorted(files.items()):
            archive.add(source.resolve(), name.lstrip("/"), filter=_plain)
        scratch = tarfile.TarInfo("tmp")
        scratch.type, scratch.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(scratch)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": list(command), "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        for name, content in (
            ("config.json", json.dumps(config).encode()),
            ("layer.tar", layer.getvalue()),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def with_libraries(program: Path) -> dict[str, Path]:
    """Return a program, as `/bin/<name>`, and the libraries that it is linked with, where it looks for them."""
    told = run(["ldd", str(program.resolve())])
    libraries = re.findall(r"(/\S+) \(0x", told)
    return {f"/bin/{program.name}": program, **{each: Path(each) for each in libraries}}


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry
