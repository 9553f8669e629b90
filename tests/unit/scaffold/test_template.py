from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import mlplat
from mlplat.errors import SpecError, UsageError
from mlplat.scaffold import template
from mlplat.scaffold.template import Template

Make = Callable[..., Template]
HEAD = 'version: "1.0.0"\ndescription: d\n'


@pytest.mark.parametrize(
    ("manifest", "path", "message"),
    [
        ("description: d\n", "version", "is required"),
        ('version: "1"\ndescription: d\n', "version", "should match pattern"),
        (HEAD + "hooks: [rm]\n", "hooks", "unknown key"),
        (HEAD + "questions: [{name: project, message: m}]\n", "questions.0", "given to every template"),
        (HEAD + "questions: [{name: Bad, message: m}]\n", "questions.0.name", "should match pattern"),
        (HEAD + "questions: [{name: a, message: m, type: choice}]\n", "questions.0", "`choices` belong"),
        (HEAD + "questions: [{name: a, message: m, choices: [x]}]\n", "questions.0", "`choices` belong"),
        (HEAD + "questions: [{name: a, message: m, pattern: '('}]\n", "questions.0", "no regular expression"),
        (HEAD + "questions: [{name: a, message: m}, {name: a, message: m}]\n", "", "asked twice"),
        (HEAD + "questions: [{name: a, message: m, default: 1}]\n", "questions.0.default", "not 1"),
    ],
)
def test_a_manifest_is_read_strictly(make: Make, manifest: str, path: str, message: str) -> None:
    with pytest.raises(SpecError) as refusal:
        make({}, manifest)
    assert [problem.path for problem in refusal.value.problems] == [path]
    assert message in refusal.value.message


def test_an_unknown_template_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError) as refusal:
        template.find("tabluar")
    assert "`tabular`" in str(refusal.value.hint)


def test_a_wheel_s_templates_go_before_a_checkout_s(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkout's lie beside `platform/`, two folders above the package; the wheel's inside it."""
    make({})
    package = tmp_path / "platform" / "mlplat"
    monkeypatch.setattr(mlplat, "__file__", str(package / "__init__.py"))
    assert template.folders() == {"tiny": tmp_path / "templates/tiny"}
    (package / "templates/tiny").mkdir(parents=True)
    (package / "templates/tiny/template.yaml").touch()
    assert template.folders() == {"tiny": package / "templates/tiny"}
