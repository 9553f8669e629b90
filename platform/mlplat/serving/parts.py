"""The prediction log's parts: one folder of Parquet files, how they are written, read, and removed.

A part is complete or not there: it is written under a hidden name, synced, and renamed. Its columns are `time` (the
platform's clock), `request_id`, `row`, `endpoint`, `revision`, `model`, `version`, `digest`, one `input_<column>` of
the contract's type a column, and `label` and `probability`, or `value`. A model that may abstain has `abstained` beside
them; the label then is what its threshold says, which nobody was told. A column that is hashed is `hash_<column>`
instead, one that is excluded is not there. The file's metadata hold the version of this form under `METADATA`; parts of
version 1, from before there was one, have none and are the same otherwise.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle import Column
from mlplat.errors import MlplatError, StateError, UnreachableError
from mlplat.serving.model import Model

if TYPE_CHECKING:
    from mlplat.serving.predictionlog import Chunk

VERSION = 2
METADATA = b"mlplat.prediction_log"
SUFFIX = ".parquet"
ABANDONED_SECONDS = 3600.0
"""Age from which an unfinished part is what a killed server left."""
READERS = 16
"""Parts that are read at a time: of a bucket, each is waited for longer than it is worked on."""
KEY_BYTES = 32
HASH_DIGITS = 32
"""Hexadecimal digits kept of an HMAC-SHA-256: half of it, the least that RFC 2104 advises."""


@dataclass(frozen=True)
class Privacy:
    """Which of the contract's columns the log does not hold as they are."""

    exclude: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()
    key: bytes = b""
    """Of the hashes: without it nobody can try which of a few values a hash stands for."""

    def check(self, columns: Iterable[Column], where: str) -> None:
        """Raise `MlplatError` for a column that the model does not have."""
        known = [column.name for column in columns]
        if odd := sorted((self.exclude | self.hash) - set(known)):
            hint = f"its columns are {', '.join(known)}"
            raise MlplatError(f"{where}: the model has no column `{odd[0]}` to keep out of the log", hint=hint)


def read_key(path: Path) -> bytes:
    """Read the key of the hashes. Raises `MlplatError`."""
    try:
        key = path.read_bytes()
    except OSError as error:
        raise MlplatError(f"{path}: the key of the prediction log cannot be read: {error.strerror}") from error
    if len(key) < KEY_BYTES:
        hint = "remove the file and a new one is made; hashes made with the old one match no longer"
        raise MlplatError(f"{path}: is no key: it holds {len(key)} bytes of {KEY_BYTES}", hint=hint)
    return key


class Parts:
    """The folder of a log: writes parts, and removes those that are too old or too many."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        origin: dict[str, str],
        keep_bytes: int,
        keep_seconds: float | None,
        privacy: Privacy,
    ) -> None:
        import pyarrow.parquet  # a server that keeps no log does without pyarrow

        # One thread writes; pools of them would only keep memory of their own.
        pyarrow.set_cpu_count(1)
        pyarrow.set_io_thread_count(1)
        self._arrow = pyarrow
        self._folder, self._model, self._origin = folder, model, origin
        self._keep_bytes, self._keep_seconds, self._privacy = keep_bytes, keep_seconds, privacy
        columns = model.contract.columns
        privacy.check(columns, str(folder))
        self.kept = tuple(column.name for column in columns if column.name not in privacy.exclude)
        """Columns that the log holds, as they are or hashed."""
        # A restarted server must never overwrite what an earlier one wrote, whatever the clock and the process id say.
        self._run, self._count = secrets.token_hex(4), 0
        folder.mkdir(parents=True, exist_ok=True)
        self._remove_abandoned()
        self.retain()

    def write(self, chunks: Sequence[Chunk]) -> Path:
        """Write one part and return where it lies. Raises `OSError`."""
        self._count += 1
        begin = datetime.fromtimestamp(chunks[0].requests[0][0] / 1e6, UTC)
        path = self._folder / f"{begin:%Y%m%dT%H%M%S}-{self._run}-{self._count:06}{SUFFIX}"
        temporary = self._folder / f".{path.name}.part"
        try:
            with temporary.open("wb") as file:
                self._arrow.parquet.write_table(self._table(chunks), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())  # a rename may reach the disk before what it names
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        finally:
            self._arrow.default_memory_pool().release_unused()
        return path

    def retain(self) -> int:
        """Remove what is older than is kept, and the oldest parts of what is more; the newest one stays.

        Return how many rows went for want of room.
        """
        parts = sorted(_stats(self._folder))
        if self._keep_seconds is not None:
            oldest = time.time_ns() - int(self._keep_seconds * 1e9)
            for _, name, _ in (part for part in parts if part[0] < oldest):
                (self._folder / name).unlink(missing_ok=True)
            parts = [part for part in parts if part[0] >= oldest]
        excess, rows = sum(size for _, _, size in parts) - self._keep_bytes, 0
        for _, name, size in parts[:-1]:
            if excess <= 0:
                break
            rows += self._rows(self._folder / name)
            (self._folder / name).unlink(missing_ok=True)
            excess -= size
        return rows

    def _rows(self, path: Path) -> int:
        try:
            return int(self._arrow.parquet.read_metadata(path).num_rows)
        except (OSError, self._arrow.ArrowException):  # gone, or damaged: what was in it is not known
            return 0

    def _table(self, chunks: Sequence[Chunk]) -> Any:
        from mlplat.serving import arrays

        arrow = self._arrow
        requests = [request for chunk in chunks for request in chunk.requests]
        sizes = np.array([count for _, _, _, count in requests])
        total = int(sizes.sum())
        moments = np.repeat(np.array([moment for moment, *_ in requests], dtype=np.int64), sizes)
        names = [text for _, name, _, count in requests for text in [name.decode()] * count]
        rows = np.concatenate([np.arange(start, start + count, dtype=np.int32) for _, _, start, count in requests])
        columns: dict[str, Any] = {
            "time": arrays.numbers(moments, arrow.timestamp("us", tz="UTC")),
            "request_id": arrays.texts(names),
            "row": arrays.numbers(rows, arrow.int32()),
        }
        columns |= {name: arrays.repeated(value, total) for name, value in self._origin.items()}
        for column in self._model.contract.columns:
            if column.name in self.kept:
                values = np.concatenate([chunk.columns[column.name][: chunk.size] for chunk in chunks])
                columns |= self._input(column, values)
        columns |= self._answers(np.concatenate([chunk.scores[: chunk.size] for chunk in chunks]))
        schema = arrow.schema([(name, array.type) for name, array in columns.items()], {METADATA: self._metadata()})
        return arrow.Table.from_arrays(list(columns.values()), schema=schema)

    def _input(self, column: Column, values: NDArray[Any]) -> dict[str, Any]:
        from mlplat.serving import arrays

        if column.name in self._privacy.hash:
            return {f"hash_{column.name}": arrays.texts(_hashed(column, values, self._privacy.key))}
        return {f"input_{column.name}": _typed(values, column.type)}

    def _answers(self, scores: NDArray[np.float64]) -> dict[str, Any]:
        from mlplat.serving import arrays

        found = arrays.numbers(scores, self._arrow.float64())
        if self._model.contract.task == "regression":
            return {"value": found}
        labels = self._model.labels(scores)
        answers = {"label": self._labels(labels), "probability": found}
        if self._model.contract.abstain is None:
            return answers
        return {**answers, "abstained": arrays.truths(self._model.abstained(scores))}

    def _labels(self, labels: Sequence[Any]) -> Any:
        from mlplat.serving import arrays

        if all(type(label) is bool for label in labels):
            return arrays.truths(np.array(labels, dtype=np.bool_))
        if all(type(label) is int for label in labels):
            return arrays.numbers(np.array(labels, dtype=np.int64), self._arrow.int64())
        return arrays.texts([str(label) for label in labels])

    def _metadata(self) -> bytes:
        contract = self._model.contract
        told = {"excluded": sorted(self._privacy.exclude), "hashed": sorted(self._privacy.hash)}
        # A person who is asked for a label has to be told which there are.
        classes = {"classes": list(contract.classes)} if contract.abstain else {}
        return json.dumps({"version": VERSION, **told, **classes}).encode()

    def _remove_abandoned(self) -> None:
        for part in self._folder.glob(f".*{SUFFIX}.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                    part.unlink()


def read(place: Path | str, columns: Sequence[str] | None = None) -> Any:
    """Read all parts of a log, in a folder or at an `s3://` address, as one `pyarrow.Table`, oldest first.

    Parts of every version up to this one may lie side by side; a column that a part does not have is null there.
    Raises `StateError` naming the file for a part that cannot be read, or that a newer mlplat wrote, and
    `UnreachableError` where a bucket does not answer.
    """
    import pyarrow as pa
    from pyarrow import fs

    try:
        files, root = fs.FileSystem.from_uri(str(place))
        found = files.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    except (OSError, ValueError) as error:
        hint = "see that the address, the credentials and `AWS_ENDPOINT_URL_S3` are right"
        raise UnreachableError(f"{place}: the prediction log cannot be listed: {error}", hint=hint) from error
    names = sorted((each.path for each in found if _is_part(each.base_name)), key=lambda path: path.rpartition("/")[2])
    with ThreadPoolExecutor(READERS) as pool:
        tables = [each for each in pool.map(lambda name: _read(files, name, columns), names) if each is not None]
    return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})


def _is_part(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _read(files: Any, path: str, columns: Sequence[str] | None) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        with files.open_input_file(path) as file, parquet.ParquetFile(file) as part:
            version = json.loads((part.schema_arrow.metadata or {}).get(METADATA, b'{"version": 1}'))["version"]
            if version > VERSION:
                hint = "read it with the mlplat that wrote it, or a newer one"
                raise StateError(f"{path}: is of version {version}, and this mlplat reads up to {VERSION}", hint=hint)
            wanted = None if columns is None else [name for name in columns if name in part.schema_arrow.names]
            return part.read(columns=wanted, use_threads=False).replace_schema_metadata(None)
    except FileNotFoundError:  # too old meanwhile
        return None
    except (ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        hint = "no server leaves such a part: move the file away, and the rest is read"
        raise StateError(f"{path}: is no whole part of a prediction log: {error}", hint=hint) from error


def _stats(folder: Path) -> Iterable[tuple[int, str, int]]:
    for part in folder.glob(f"[!.]*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # another server of the folder may remove it as well
            stat = part.stat()
            yield stat.st_mtime_ns, part.name, stat.st_size


def _typed(values: NDArray[Any], kind: str) -> Any:
    """Make a column of the contract's type; null is NaN, and then whole numbers and truth values are float64."""
    import pyarrow as pa

    from mlplat.serving import arrays

    if kind == "string":
        return arrays.texts([value if isinstance(value, str) else None for value in values.tolist()])
    if values.dtype == np.bool_:
        return arrays.truths(values)
    types = {"boolean": pa.bool_(), "long": pa.int64(), "double": pa.float64()}
    if values.dtype == np.int64:
        return arrays.numbers(values, types[kind])
    return arrays.nullable(values, types[kind])


def _hashed(column: Column, values: NDArray[Any], key: bytes) -> list[str | None]:
    """Hash each value; one value has one hash, and null stays null."""
    known: dict[Any, str | None] = {}
    listed = values.tolist()
    for value in listed:
        if value not in known:
            known[value] = _hash(column, value, key)
    return [known[value] for value in listed]


def _hash(column: Column, value: Any, key: bytes) -> str | None:
    if value != value:  # noqa: PLR0124 - NaN, which stands for null
        return None
    # A whole number is one whether its column may be null, and is float64 therefore, or not.
    words = {"long": int, "boolean": bool, "double": float, "string": str}
    return hash_text(column.name, str(words[column.type](value)), key)


def hash_text(column: str, text: str, key: bytes) -> str:
    """Return the hash of a column's value, which is written as Python writes a value of the column's type."""
    written = f"{column}\0{text}".encode("utf-8", "surrogatepass")
    return hmac.new(key, written, hashlib.sha256).hexdigest()[:HASH_DIGITS]
