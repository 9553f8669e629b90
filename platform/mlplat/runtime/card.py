"""The model card: all that a run found out about its model, on one page (Mitchell et al., Model Cards, 2019).

It is rendered from the run and never written by hand, but for what no run can know: what the model is for, what it must
not be used for, and whom to ask, which the team writes into the project's `card.md`. Whatever a gate report holds is
shown, also what this version has no words for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplat.bundle import Contract
from mlplat.clock import Clock
from mlplat.runs.result import number, score
from mlplat.runtime import plots
from mlplat.runtime.reliability import Bin
from mlplat.spec.project import ProjectSpec

if TYPE_CHECKING:
    from jinja2 import Environment

ABOUT = "card.md"
"""What the team writes, in the project's folder."""
TEMPLATES = Path(__file__).parent / "cards"
TOLD = frozenset({"version", "digest", "model", "passed", "rules", "metrics", "champion_metrics", "served", "champion"})
"""Keys of a gate report that have a place of their own on the card; every other one is a table."""
EMPTY: tuple[Any, ...] = (None, "", [], (), {})
"""Values that tell nothing."""
SPECIAL = re.compile(r"([\\`*\[\]<>|&])")
"""What Markdown, or the HTML inside it, would take for its own."""


@dataclass(frozen=True)
class Run:
    """A run, as far as its card tells of it."""

    spec: ProjectSpec
    contract: Contract
    digest: str
    report: Mapping[str, Any]
    """The gate's."""
    split: Mapping[str, Any]
    explained: Mapping[str, Any]
    settings: Mapping[str, Any]
    """What the model was trained with, by key."""
    lineage: Mapping[str, str]
    """Name and value, such as the commit."""
    fitted: Mapping[str, Any] = field(default_factory=dict)
    """How it came to these settings: trials, folds, columns left out, calibration; nothing where nobody knows."""
    about: str = ""
    """What the team has written, in Markdown."""
    bins: list[Bin] = field(default_factory=list)
    pictures: Mapping[str, str] = field(default_factory=dict)
    """SVG by name."""


@dataclass(frozen=True)
class Table:
    """Part of a gate report: a head and rows of text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def about(project: Path) -> str:
    """Return what a team has written for its cards; nothing where there is no such file."""
    path = project / ABOUT
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip()


def markdown(run: Run) -> str:
    """Return the card as Markdown."""
    made = _environment(html=False)
    text: str = made.get_template("card.md.jinja").render(**_facts(run), written=_Written(run.about))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def html(run: Run) -> str:
    """Return the card as one HTML page that needs nothing else: light and dark, and fit to be printed."""
    from markupsafe import Markup

    made = _environment(html=True)
    # Drawn here, with every name in them escaped.
    pictures = {name: Markup(plots.themed(svg)) for name, svg in run.pictures.items()}  # noqa: S704
    written = Markup(_rendered(run.about))  # noqa: S704 - its own HTML is escaped
    text: str = made.get_template("card.html.jinja").render(**_facts(run), pictures=pictures, written=written)
    return text


def parts(value: Mapping[str, Any]) -> Iterator[Table]:
    """Return any JSON object as tables: its plain values in one without a title, each of the others under its name."""
    yield from _flat("", value)
    for key, each in value.items():
        if not _is_plain(each):
            yield from tables(_begun(_words(key)), each)


def tables(title: str, value: Any) -> Iterator[Table]:
    """Return a JSON object or list as tables: things of one kind are the rows of one, others a table each."""
    if isinstance(value, Mapping) and value and all(_is_record(each) for each in value.values()):
        value = [{"": _words(key), **each} for key, each in value.items()]
    if isinstance(value, Mapping):
        yield from _flat(title, value)
        for key, each in value.items():
            if not _is_plain(each):
                yield from tables(f"{title}: {_words(key)}", each)
    elif all(isinstance(each, Mapping) for each in value):
        head = tuple(dict.fromkeys(str(key) for each in value for key in each))
        yield Table(title, head, tuple(tuple(_text(each.get(key)) for key in head) for each in value))
    else:
        yield Table(title, ("",), tuple((_text(each),) for each in value))


def _flat(title: str, value: Mapping[str, Any]) -> Iterator[Table]:
    if rows := tuple(
        (_words(key), _text(each)) for key, each in value.items() if _is_plain(each) and each not in EMPTY
    ):
        yield Table(title, ("", ""), rows)


def _is_record(value: Any) -> bool:
    return isinstance(value, Mapping) and not _is_plain(value) and all(_is_plain(each) for each in value.values())


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not value or {"value", "low", "high"} <= set(value)
    return not isinstance(value, list | tuple) or not any(isinstance(each, Mapping | list | tuple) for each in value)


def _text(value: Any) -> str:
    if value in EMPTY:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping) and _is_plain(value):
        return score(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(key)} {_text(each)}" for key, each in value.items())
    return number(value)


def _words(key: Any) -> str:
    return str(key).replace("_", " ")


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def _facts(run: Run) -> dict[str, Any]:
    spec, report = run.spec, run.report
    theirs = report.get("champion_metrics") or {}
    more = {key: value for key, value in report.items() if key not in TOLD}
    return {
        "name": f"{spec.project}/{spec.model}",
        "spec": spec,
        "contract": run.contract,
        "digest": run.digest,
        "report": report,
        "made": Clock.from_environment().now().strftime("%Y-%m-%d"),
        "split": run.split,
        "how": _begun(run.split["how"]),
        "metrics": [(_words(name), _text(value), _text(theirs.get(name))) for name, value in report["metrics"].items()],
        "more": list(parts(more)),
        "explained": run.explained,
        "bins": [(number(each.said), score(asdict(each.came)), f"{each.rows:,}") for each in run.bins],
        "fitted": list(parts(run.fitted)),
        "settings": [(_words(key), _text(value)) for key, value in run.settings.items()],
        "lineage": [(name, value) for name, value in run.lineage.items() if value],
    }


def _environment(*, html: bool) -> Environment:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=html,
        # Everything that is not HTML is Markdown, where a name must not begin a table's cell or a tag.
        finalize=None if html else _escaped,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"words": _words, "score": score, "number": number}
    return made


class _Written(str):
    """Markdown that is meant as such."""

    __slots__ = ()


def _escaped(value: Any) -> str:
    text = str(value)
    return text if isinstance(value, _Written) else SPECIAL.sub(r"\\\1", text.replace("\n", " ").replace("\r", " "))


def _rendered(text: str) -> str:
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))
