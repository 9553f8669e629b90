"""Answers that a model left to a person, and the labels that people gave them.

What waits is not kept anywhere: it is what the prediction log holds without a label, less what was labelled. A label is
a file of its own, with the row that it is of, since a log is not kept for long. Another label for the same answer is a
further file, never in another's stead; the last one counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from mlplat.bundle import Row
from mlplat.errors import StateError, UsageError
from mlplat.runtime.snapshots.place import Place

FOLDER = "reviews"
VERSION = 1
DIGITS, SEAL_DIGITS = 12, 16
"""Of an answer's name, and of the hash in a label's."""
READERS = 16
"""Parts of a log that are looked into at a time: those in a bucket are mostly waited for."""
Class = int | str | bool


@dataclass(frozen=True)
class Answer:
    """One answer without a label."""

    id: str
    """Hash of where and when it was given: the same for the same row of the log."""
    endpoint: str
    revision: str
    model: str
    version: str
    digest: str
    time: str
    """When it was asked for, by the platform's clock, as ISO 8601."""
    probability: float
    classes: tuple[Class, ...]
    row: Row
    """The columns that the log holds as they are."""


@dataclass(frozen=True)
class Label:
    """What a person said of one answer."""

    value: Class
    time: str
    note: str = ""


@dataclass(frozen=True)
class Reviewed:
    """An answer and all that was said of it, the last one last: that one counts."""

    answer: Answer
    labels: tuple[Label, ...]

    @property
    def value(self) -> Class:
        """The label."""
        return self.labels[-1].value


def abstained(log: Place, project: str) -> list[Answer]:
    """Return the answers without a label in the logs of a project's endpoints, the oldest first.

    Raises `StateError` for a part that cannot be read.
    """
    names = [name for name in log.names("") if name.startswith(f"{project}.") and name.endswith(".parquet")]
    with ThreadPoolExecutor(READERS) as pool:
        found = [answer for part in pool.map(lambda name: _of_part(log, name), names) for answer in part]
    return sorted(found, key=lambda each: (each.time, each.id))


def _of_part(log: Place, name: str) -> list[Answer]:
    from pyarrow import ArrowException, BufferReader, parquet

    from mlplat.serving import parts

    try:
        with parquet.ParquetFile(BufferReader(log.read(name))) as part:
            if "abstained" not in part.schema_arrow.names:
                return []
            told = json.loads((part.schema_arrow.metadata or {})[parts.METADATA])
            table = part.read(use_threads=False)
            return [_answer(each, tuple(told["classes"])) for each in table.filter(table["abstained"]).to_pylist()]
    except FileNotFoundError:  # too old meanwhile
        return []
    except (ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{log.address}/{name}: is no whole part of a prediction log: {error}") from error


def _answer(row: Mapping[str, Any], classes: tuple[Class, ...]) -> Answer:
    time = row["time"].isoformat()
    place = json.dumps([row["endpoint"], row["revision"], time, row["request_id"], row["row"]])
    return Answer(
        id=hashlib.sha256(place.encode()).hexdigest()[:DIGITS],
        **{name: row[name] for name in ("endpoint", "revision", "model", "version", "digest", "probability")},
        time=time,
        classes=classes,
        row={name.removeprefix("input_"): value for name, value in row.items() if name.startswith("input_")},
    )


class Reviews:
    """The labels of one place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def all(self) -> list[Reviewed]:
        """Return what was labelled, the answers that were given first at the beginning. Raises `StateError`."""
        found: dict[str, list[tuple[int, Answer, Label]]] = {}
        for name in self.names():
            number, answer, label = self._read(name)
            found.setdefault(answer.id, []).append((number, answer, label))
        made = [
            # Two people may have given the same number at the same moment: then the clock decides, and then the value.
            Reviewed(all_[0][1], tuple(label for _, _, label in sorted(all_, key=_order)))
            for all_ in found.values()
        ]
        return sorted(made, key=lambda each: (each.answer.time, each.answer.id))

    def names(self) -> list[str]:
        """Return the files' names."""
        return [name for name in self.place.names(FOLDER) if name.endswith(".json")]

    def label(self, answer: Answer, value: Class, *, note: str, now: datetime, known: Reviewed | None) -> bool:
        """Write a label down; tell whether it is another than what is `known` already."""
        if known and (known.value, known.labels[-1].note) == (value, note):
            return False
        label = Label(value, now.isoformat(timespec="seconds"), note)
        number = len(known.labels) + 1 if known else 1
        document = {"version": VERSION, "number": number, "answer": asdict(answer), "label": asdict(label)}
        content = (json.dumps(document, indent=1) + "\n").encode()
        self.place.write(f"{FOLDER}/{answer.id}/{number:04}-{_seal(content)}.json", content)
        return True

    def row(self, name: str) -> Row:
        """Return the row that a file's label is of."""
        return self._read(name)[1].row

    def _read(self, name: str) -> tuple[int, Answer, Label]:
        content = self.place.read(name)
        if not name.endswith(f"-{_seal(content)}.json"):
            hint = "somebody changed it: remove the file, and label the answer again"
            raise StateError(f"{self.place.address}/{name}: is not what was written", hint=hint)
        found = json.loads(content)
        if found["version"] > VERSION:
            raise StateError(f"{name}: was written by a newer mlplat", hint="use that one, or a newer one")
        answer = Answer(**{**found["answer"], "classes": tuple(found["answer"]["classes"])})
        return found["number"], answer, Label(**found["label"])


def _order(each: tuple[int, Answer, Label]) -> tuple[int, str, str]:
    number, _, label = each
    return number, label.time, str(label.value)


def _seal(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:SEAL_DIGITS]


def waiting(answers: Iterable[Answer], known: Iterable[Reviewed]) -> Iterator[Answer]:
    """Yield the answers that nobody has labelled."""
    labelled = {each.answer.id for each in known}
    return (each for each in answers if each.id not in labelled)


def read_class(text: str, classes: Iterable[Class]) -> Class:
    """Return the class that a person typed. Raises `UsageError` where there is none like it."""
    told = {_typed(each): each for each in classes}
    if text.strip() in told:
        return told[text.strip()]
    if (lowered := text.strip().lower()) in told and isinstance(told[lowered], bool):
        return told[lowered]
    raise UsageError(f"`{text}` is no label of this model", hint=f"it is one of {', '.join(told)}")


def _typed(value: Class) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
