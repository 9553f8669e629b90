from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlplat.errors import MlplatError
from mlplat.labels import is_label
from mlplat.scaffold.render import environment, label, render
from mlplat.scaffold.template import Template

VARIABLES = {"package": "churn_model", "project": "churn-model", "name": "x"}
Make = Callable[..., Template]


def test_only_jinja_files_are_rendered_and_lose_the_ending(make: Make) -> None:
    untouched = b"${{ secrets.X }} [[a]] {{ x }} {% raw %}\r\n\xff\x00"
    tree = render(make({"a.txt.jinja": "{{ project }}\n", "b.yaml": untouched}), VARIABLES)
    assert {path: file.content for path, file in tree.items()} == {"a.txt": b"churn-model\n", "b.yaml": untouched}


def test_the_package_s_name_stands_in_paths(make: Make) -> None:
    tree = render(
        make({"src/__package__/__init__.py": "", "src/__package__/a.py.jinja": "import {{ package }}"}), VARIABLES
    )
    assert set(tree) == {"src/churn_model/__init__.py", "src/churn_model/a.py"}


def test_a_file_s_last_newlines_and_blocks_stay_as_written(make: Make) -> None:
    text = "a\n  {% if true %}\nb\n  {% endif %}\nc\n\n"
    assert render(make({"a.jinja": text}), VARIABLES)["a"].content == b"a\nb\nc\n\n"


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__ }}",
        "{{ project.__init__.__globals__ }}",
        "{{ [].append(1) }}",
        "{{ project.format.__self__ }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ range(1000000000) | list }}",
        "{% include 'a' %}",
        "{% import 'a' as a %}",
        "{% extends 'a' %}",
        "{{ lipsum() }}",
        "{{ [1] | random }}",
        "{% do x %}",
    ],
)
def test_nothing_outside_the_template_s_text_is_reached(make: Make, attack: str) -> None:
    with pytest.raises(MlplatError, match=r"template `tiny`: a\.jinja:1: "):
        render(make({"a.jinja": attack}), VARIABLES)


@pytest.mark.parametrize("fault", ["{{ nobody }}", "{{ nobody.x }}", "{% if %}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}"])
def test_a_fault_names_file_and_line(make: Make, fault: str) -> None:
    with pytest.raises(MlplatError, match=r"template `tiny`: sub/a\.jinja:3: "):
        render(make({"sub/a.jinja": f"one\ntwo\n{fault}\n"}), VARIABLES)


def test_text_that_is_no_utf8_is_refused_where_it_is_rendered(make: Make) -> None:
    with pytest.raises(MlplatError, match="utf-8"):
        render(make({"a.jinja": b"\xff"}), VARIABLES)


@pytest.mark.parametrize("names", [("a.txt", "a.txt.jinja"), ("README", "readme")])
def test_two_files_for_one_path_are_refused(make: Make, names: tuple[str, str]) -> None:
    with pytest.raises(MlplatError, match="twice"):
        render(make(dict.fromkeys(names, "x")), VARIABLES)


@pytest.mark.parametrize("name", [".git/config", "sub/.GIT/hooks/x", "git~1"])
def test_a_template_cannot_write_into_git_s_folder(make: Make, name: str) -> None:
    with pytest.raises(MlplatError, match="git's own folder"):
        render(make({name: "x"}), VARIABLES)


def test_a_package_s_name_cannot_lead_out(make: Make) -> None:
    with pytest.raises(MlplatError, match="leaves the project"):
        render(make({"__package__/x": ""}), {"package": ".."})


def test_a_link_in_a_template_is_refused(make: Make, tmp_path: Path) -> None:
    template = make({"a": ""})
    (tmp_path / "templates/tiny/project/link").symlink_to("/etc/passwd")
    with pytest.raises(MlplatError, match="no plain file"):
        render(template, VARIABLES)


def test_a_rendered_file_of_which_nothing_is_left_is_none(make: Make) -> None:
    """A module that only some answers need; a file that is copied may be empty, as `py.typed` is."""
    made = make(
        {"a.jinja": "{% if no %}\nx\n{% endif %}\n", "b.jinja": "{% if yes %}\nx\n{% endif %}\n", "py.typed": ""}
    )
    assert set(render(made, {"no": "", "yes": "yes"})) == {"b", "py.typed"}


def test_what_tools_leave_behind_is_no_part_of_a_template(make: Make) -> None:
    tree = render(make({"a": "", "__pycache__/a.pyc": "", "sub/.ruff_cache/x": ""}), VARIABLES)
    assert set(tree) == {"a"}


@pytest.mark.parametrize("text", ['a "quoted" name', "it's", "<b>&", "ünïcode", "back\\slash", "{{ x }}"])
def test_tojson_gives_what_json_yaml_and_python_read_alike(text: str) -> None:
    written = environment().from_string("{{ text | tojson }}").render(text=text)
    assert json.loads(written) == text
    assert "\\u003c" not in written


@pytest.mark.parametrize("text", ["late", "Arrival delay (min)", "ÄÖ", "--", "x" * 100, "9_lives", "a" * 62 + " b"])
def test_label_makes_a_dns_label_of_anything(text: str) -> None:
    assert is_label(label(text))
