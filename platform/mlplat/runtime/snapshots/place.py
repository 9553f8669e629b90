"""Where a project's snapshots lie: a folder, or a prefix of a bucket, named by an address."""

from __future__ import annotations

import os
from pathlib import Path

from pyarrow import fs

from mlplat.errors import UnreachableError
from mlplat.files import PRIVATE, hide_from_git, write_atomic

VARIABLE = "MLPLAT_DATA_PLACE"
"""Variable with the address, such as `s3://bucket/prefix`; without it, it is the project's own folder."""
FOLDER = Path(".mlplat", "data")


class Place:
    """Files by name, each whole or not there. Methods raise `UnreachableError` where a bucket does not answer."""

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            self._files, self._root = fs.FileSystem.from_uri(address)
        except (OSError, ValueError) as error:
            raise UnreachableError(
                f"`{VARIABLE}` is `{address}`, which cannot be used: {error}", hint="write it as `s3://bucket/prefix`"
            ) from error

    @classmethod
    def of(cls, project: Path) -> Place:
        """Return a project's place."""
        return cls(os.environ.get(VARIABLE) or (project.absolute() / FOLDER).as_uri())

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder, sorted; those that are being written are not among them."""
        below = f"{self._root}/{folder}" if folder else self._root
        chosen = fs.FileSelector(below, recursive=True, allow_not_found=True)
        found = [each.path for each in self._files.get_file_info(chosen) if each.type == fs.FileType.File]
        names = [path.removeprefix(f"{self._root}/") for path in found]
        return sorted(name for name in names if not name.rpartition("/")[2].startswith("."))

    def has(self, name: str) -> bool:
        """Tell whether there is a file."""
        return bool(self._files.get_file_info(f"{self._root}/{name}").type == fs.FileType.File)

    def read(self, name: str) -> bytes:
        """Return a file's content. Raises `FileNotFoundError`."""
        with self._files.open_input_stream(f"{self._root}/{name}") as stream:
            content: bytes = stream.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        """Put a file there in one step, readable by nobody else."""
        path = f"{self._root}/{name}"
        if isinstance(self._files, fs.LocalFileSystem):
            hide_from_git(Path(self._root))
            write_atomic(Path(path), content, mode=PRIVATE)
            return
        with self._files.open_output_stream(path) as stream:  # an object appears when it is whole
            stream.write(content)

    def replace(self, name: str, content: bytes) -> None:
        """Put other content in a file's stead, which stays as old as it was and readable by the same."""
        path = f"{self._root}/{name}"
        if not isinstance(self._files, fs.LocalFileSystem):
            self.write(name, content)  # what is kept there for a time says in its name from when on
            return
        stat = Path(path).stat()
        write_atomic(Path(path), content, mode=stat.st_mode & 0o777)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    def remove(self, name: str) -> None:
        """Remove a file unless it is gone already."""
        if self.has(name):
            self._files.delete_file(f"{self._root}/{name}")
