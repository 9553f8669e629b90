from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplat.errors import SpecError, StateError
from mlplat.spec.platform import newest_form, read_platform
from mlplat.spec.rewrite import edit

OLD = """\
# A platform with a long history.
---
config:
    mlplat:platform:

        version:   1  # of its form
        name: 'odd-name'   # quoted, and indented by four
        gateway: {port:   8081,    admin_port: 9902}
        serving:
            # Two weeks of a shop's questions.
            prediction_log:
                # The disk is small.
                keep_megabytes:    100   # enough for two weeks
                rows_per_part: 2

    other:list:  [1,
      2]
# The end.
"""
DIFF = """\
--- stack.yaml (version 1)
+++ stack.yaml
@@ -6 +6 @@
-        version:   1  # of its form
+        version: 2    # of its form
@@ -13 +13 @@
-                keep_megabytes:    100   # enough for two weeks
+                retention: {megabytes: 100} # enough for two weeks"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stack.yaml").write_text(OLD)
    return tmp_path / "stack.yaml"


def test_only_the_lines_that_change_differ_and_comments_stay(stack: Path) -> None:
    rewrite = newest_form(stack)
    assert rewrite is not None
    assert rewrite.diff() == DIFF
    rewrite.write()
    kept = [line for line in OLD.splitlines() if f"-{line}" not in DIFF.splitlines()]
    assert [line for line in stack.read_text().splitlines() if f"+{line}" not in DIFF.splitlines()] == kept


def test_the_new_file_means_what_the_old_one_meant_and_is_left_alone_from_then_on(stack: Path) -> None:
    meant = read_platform(stack)
    rewrite = newest_form(stack)
    assert rewrite is not None
    rewrite.write()
    assert read_platform(stack) == meant
    assert newest_form(stack) is None


@pytest.mark.parametrize("text", ["{}", "version: 2", "name: x", "{version: 2, serving: {prediction_log: {}}}", "~"])
def test_a_file_in_the_newest_form_is_not_written(stack: Path, text: str) -> None:
    stack.write_text(f"config:\n  mlplat:platform:\n    {text}\n")
    assert newest_form(stack) is None


FORMS = {
    "json": (
        '{"config": {"mlplat:platform": {"name": "x", "serving": {"prediction_log": {"keep_megabytes": 7}}}}}',
        (
            '{"config": {"mlplat:platform": {"version": 2, "name": "x", "serving": {"prediction_log": {"retention": '
            '{"megabytes": 7}}}}}}'
        ),
    ),
    "Windows": (
        "config:\r\n  mlplat:platform:\r\n    version: 1 # x\r\n    name:  a\r\n",
        "config:\r\n  mlplat:platform:\r\n    version: 2 # x\r\n    name:  a\r\n",
    ),
    "no end": ("config:\n  mlplat:platform:\n    version: 1", "config:\n  mlplat:platform:\n    version: 2"),
    "no version": (
        "config:\n  mlplat:platform:\n    serving: {prediction_log: {keep_megabytes: 7}}\n",
        "config:\n  mlplat:platform:\n    version: 2\n    serving: {prediction_log: {retention: {megabytes: 7}}}\n",
    ),
    "byte order mark": (
        "\ufeffconfig:\n  mlplat:platform:\n    version: 1\n",
        "\ufeffconfig:\n  mlplat:platform:\n    version: 2\n",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_keeps_its_form(stack: Path, form: str) -> None:
    old, new = FORMS[form]
    stack.write_bytes(old.encode())
    meant = read_platform(stack)
    rewrite = newest_form(stack)
    assert rewrite is not None
    rewrite.write()
    assert stack.read_bytes().decode() == new
    assert read_platform(stack) == meant


def test_a_key_that_comes_out_of_an_anchor_is_for_a_person_to_change(stack: Path) -> None:
    text = "config:\n  mlplat:platform:\n    serving: {prediction_log: {<<: &small {keep_megabytes: 7}}}\n"
    stack.write_text(text)
    assert read_platform(stack).serving.prediction_log.retention.megabytes == 7
    with pytest.raises(SpecError, match=r"stack\.yaml: config\.mlplat:platform: its anchors keep it") as caught:
        newest_form(stack)
    assert caught.value.hint == "write its keys out"


def test_a_link_stays_one_and_a_file_keeps_its_mode(stack: Path, tmp_path: Path) -> None:
    stack.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(stack)
    rewrite = newest_form(link)
    assert rewrite is not None
    rewrite.write()
    assert link.is_symlink()
    assert stack.stat().st_mode & 0o777 == 0o640
    assert newest_form(stack) is None


def test_a_file_that_somebody_changed_since_it_was_shown_is_not_overwritten(stack: Path) -> None:
    rewrite = newest_form(stack)
    assert rewrite is not None
    stack.write_text(OLD + "# mine\n")
    with pytest.raises(StateError, match=r"stack\.yaml was changed in the meantime"):
        rewrite.write()
    assert stack.read_text() == OLD + "# mine\n"


def test_an_edit_that_changes_nothing_gives_the_text_back() -> None:
    assert edit(OLD, lambda _: None) == OLD


scalars = st.sampled_from(["1", "x", "'q'", '"d"', "22:30", "~", "[1,   2]", "{k:  v}", "|\n      two\n      lines"])
gaps = st.sampled_from(["", "  # said", "\n", "\n# between"])


@given(
    st.lists(st.tuples(scalars, st.integers(1, 4), gaps), min_size=1, max_size=6),
    st.integers(0, 5),
    st.sampled_from(["new", 5, True, "10", None, {"deep": [1]}]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_edit_of_one_key_leaves_every_other_line_and_value(rows: list[Any], index: int, value: Any) -> None:
    from ruamel.yaml import YAML

    lines = [
        f"  key{at}:{' ' * space}{scalar}{gap if '|' not in scalar else ''}"
        for at, (scalar, space, gap) in enumerate(rows)
    ]
    text = "top:\n" + "\n".join(lines) + "\n"
    key = f"key{index % len(rows)}"
    meant = YAML(typ="safe", pure=True).load(text)
    meant["top"][key] = value

    def change(document: Any) -> None:
        document["top"][key] = value

    made = edit(text, change)
    assert YAML(typ="safe", pure=True).load(made) == meant
    others = [line for at, line in enumerate(lines) if f"key{at}" != key]
    # One that makes a line two may be written in ruamel's way.
    assert value is None or isinstance(value, dict) or [line for line in others if line not in made] == []
