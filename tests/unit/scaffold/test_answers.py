from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlplat.errors import UsageError
from mlplat.scaffold import answers
from mlplat.scaffold.template import Question, Template

Make = Callable[..., Template]
KNOWN = {"project": "churn"}


def collect(template: Template, ask: answers.Ask | None = None, **given: str) -> dict[str, str]:
    return answers.collect(template, given, known=KNOWN, ask=ask)


def test_defaults_stand_on_the_answers_before_them(make: Make) -> None:
    assert collect(make({})) == {"colour": "red", "shade": "none", "title": "red churn"}
    assert collect(make({}), colour="blue", shade="navy")["title"] == "blue churn"


def test_an_answer_without_default_is_asked_for_by_its_flag(make: Make) -> None:
    with pytest.raises(UsageError) as refusal:
        collect(make({}), colour="blue")
    assert "`shade` is needed" in refusal.value.message
    assert "--set shade=" in str(refusal.value.hint)


def test_a_question_that_does_not_apply_takes_no_answer(make: Make) -> None:
    with pytest.raises(UsageError, match='`shade` cannot be set unless colour == "blue"'):
        collect(make({}), shade="navy")
    assert collect(make({}), shade="none")["shade"] == "none"


def test_an_unknown_name_is_answered_with_the_nearest(make: Make) -> None:
    with pytest.raises(UsageError) as refusal:
        collect(make({}), color="red")
    assert "did you mean `colour`" in str(refusal.value.hint)


def test_only_what_applies_and_was_not_set_is_asked(make: Make) -> None:
    asked: list[tuple[str, str | None]] = []

    def ask(question: Question, default: str | None, check: Callable[[str], str]) -> str:
        asked.append((question.name, default))
        return check("navy")

    assert collect(make({}), ask, colour="blue") == {"colour": "blue", "shade": "navy", "title": "blue churn"}
    assert asked == [("shade", None)]


def test_a_wrong_answer_names_what_is_right(make: Make) -> None:
    with pytest.raises(UsageError) as refusal:
        collect(make({}), colour="green")
    assert "one of red, blue" in str(refusal.value.hint)


@pytest.mark.parametrize("text", ["", "two\nlines", "a\0b", "tab\t"])
def test_an_answer_is_one_line_of_text(text: str) -> None:
    with pytest.raises(UsageError, match="no answer"):
        answers.check(Question(name="a", message="m"), text)


def test_an_answer_may_be_empty_where_the_usual_one_is() -> None:
    assert answers.check(Question(name="a", message="m", pattern="[a-z]"), "", "") == ""


def test_a_pattern_holds_for_the_whole_answer() -> None:
    question = Question(name="a", message="m", pattern="[a-z]+", hint="letters")
    assert answers.check(question, "abc") == "abc"
    with pytest.raises(UsageError, match="does not fit"):
        answers.check(question, "abc1")


@pytest.mark.parametrize("given", [{}, {"colour": "blue", "shade": "navy"}, {"title": "Other"}, {"colour": "red"}])
def test_what_lies_beyond_the_defaults_gives_the_same_answers_again(make: Make, given: dict[str, str]) -> None:
    template = make({})
    first = answers.collect(template, given, known=KNOWN, ask=None)
    needed = answers.beyond_defaults(template, first, known=KNOWN)
    assert answers.collect(template, needed, known=KNOWN, ask=None) == first
    assert set(needed) <= set(given) | {"title"}


def test_a_file_of_answers_may_be_a_project_s_own_record(make: Make, tmp_path: Path) -> None:
    template = make({})
    given = {"colour": "blue", "shade": "navy", "title": "T"}
    known = {**KNOWN, "mlplat_version": "1", "python_version": "3.11"}
    record = tmp_path / "answers.json"
    record.write_bytes(answers.record(template, known, given, "sha256:0"))
    assert answers.read_file(record) == given
    plain = tmp_path / "answers.yaml"
    plain.write_text("colour: blue\nshade: navy\ntitle: T\n")
    assert answers.read_file(plain) == given


@pytest.mark.parametrize("text", ["- a\n", "colour: 1\n", "text\n"])
def test_a_file_that_holds_no_answers_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="holds no answers"):
        answers.read_file(path)


def test_a_record_names_template_answers_and_tree(make: Make) -> None:
    known = {**KNOWN, "mlplat_version": "9.9", "python_version": "3.12"}
    record = json.loads(answers.record(make({}), known, {"colour": "red"}, "sha256:0"))
    assert record == {
        "version": 1,
        "template": "tiny",
        "template_version": "1.2.3",
        "mlplat": "9.9",
        "python": "3.12",
        "project": "churn",
        "answers": {"colour": "red"},
        "tree": "sha256:0",
    }
