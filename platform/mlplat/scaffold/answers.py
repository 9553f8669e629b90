"""From what a person typed, wrote or chose to the answers of a template's questions, and how a project records them.

Three sources, the first one that has an answer wins: `--set`, the file of `--answers`, and then a person on a terminal
or the question's default. A question whose `when` is false has the answer `otherwise` and takes no other.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlplat.errors import UsageError
from mlplat.scaffold.render import environment
from mlplat.scaffold.template import Question, Template
from mlplat.spec.base import read_text, read_yaml

RECORD = ".mlplat/answers.json"

Ask = Callable[[Question, str | None, Callable[[str], str]], str]
"""Asks a person: the question, its default, and a check that raises `UsageError`; returns a checked answer."""


def collect(
    template: Template, given: Mapping[str, str], *, known: Mapping[str, str], ask: Ask | None
) -> dict[str, str]:
    """Answer every question of a template.

    `given` is what was set, `known` the variables that every template gets, `ask` None where nobody can be asked and
    defaults are to be taken. Raises `UsageError` for unknown names, wrong answers and missing ones.
    """
    _refuse_unknown(template, given)
    answers: dict[str, str] = {}
    for question in template.manifest.questions:
        answers[question.name] = _answer(question, given, {**known, **answers}, ask)
    return answers


def beyond_defaults(template: Template, answers: Mapping[str, str], *, known: Mapping[str, str]) -> dict[str, str]:
    """Return those of a template's answers that have to be set for `--defaults` to give all of them."""
    needed: dict[str, str] = {}
    before = dict(known)
    for question in template.manifest.questions:
        answer = answers[question.name]
        if answer != default(question, before):
            needed[question.name] = answer
        before[question.name] = answer
    return needed


def default(question: Question, before: Mapping[str, str]) -> str | None:
    """Return what a question is answered with when nobody says anything else; None where somebody has to."""
    if not applies(question, before):
        return question.otherwise
    return None if question.default is None else environment().from_string(question.default).render(before)


def applies(question: Question, before: Mapping[str, str]) -> bool:
    """Tell whether a question is one at all after the answers `before` it."""
    return not question.when or bool(environment().compile_expression(question.when, undefined_to_none=False)(**before))


def _answer(question: Question, given: Mapping[str, str], before: Mapping[str, str], ask: Ask | None) -> str:
    usual = default(question, before)
    if not applies(question, before):
        # A recorded answer of another project may say what holds anyway.
        if given.get(question.name, usual) != usual:
            raise UsageError(f"`{question.name}` cannot be set unless {question.when}")
        return question.otherwise
    if question.name in given:
        return check(question, given[question.name], usual)
    if ask and question.ask:
        return ask(question, usual, lambda text: check(question, text, usual))
    if usual is None:
        raise UsageError(
            f"`{question.name}` is needed: {question.message}", hint=f"give it with `--set {question.name}=…`"
        )
    return check(question, usual, usual)


def check(question: Question, text: str, usual: str | None = None) -> str:
    """Return an answer that a question takes. Raises `UsageError` saying what it would take."""
    hint = question.hint or (f"one of {', '.join(question.choices)}" if question.choices else None)
    if (not text and usual != "") or re.search(r"[\x00-\x1f\x7f]", text):
        raise UsageError(f"`{question.name}`: {text!r} is no answer", hint=hint or "one line of text")
    if question.type == "choice" and text not in question.choices:
        raise UsageError(f"`{question.name}`: `{text}` is not one of its choices", hint=hint)
    if text and question.pattern and not re.fullmatch(question.pattern, text):
        raise UsageError(
            f"`{question.name}`: `{text}` does not fit", hint=hint or f"it has to match `{question.pattern}`"
        )
    return text


def _refuse_unknown(template: Template, given: Mapping[str, str]) -> None:
    names = [question.name for question in template.manifest.questions]
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"it asks {', '.join(f'`{each}`' for each in names)}"
            raise UsageError(f"the template `{template.name}` does not ask `{name}`", hint=hint)


def read_file(path: Path) -> dict[str, str]:
    """Read answers from a YAML or JSON file: names and texts, or a project's own record of them."""
    document: Any = read_yaml(read_text(path), str(path))
    if isinstance(document, dict) and isinstance(document.get("answers"), dict):
        document = document["answers"]
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise UsageError(f"{path}: holds no answers", hint="one `name: text` a line; quote numbers")
    return {str(name): str(value) for name, value in document.items()}


def record(template: Template, variables: Mapping[str, str], answers: Mapping[str, str], tree: str) -> bytes:
    """Write down what a project was made of, without times and places, so that it can be made again and upgraded.

    `tree` is the digest of the other files as they were rendered.
    """
    document = {
        "version": 1,
        "template": template.name,
        "template_version": template.manifest.version,
        "mlplat": variables["mlplat_version"],
        "python": variables["python_version"],
        "project": variables["project"],
        "answers": dict(answers),
        "tree": tree,
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
