from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import UsageError
from mlplat.labels import LABEL, Name

labels = st.from_regex(LABEL, fullmatch=True).filter(str.isascii)


@given(labels, labels)
def test_a_name_survives_its_id_and_its_text(project: str, name: str) -> None:
    made = Name(project, name)
    assert Name.from_id(made.id) == made
    assert Name.parse(str(made)) == made


@given(labels, labels, labels, labels)
def test_no_two_names_share_an_id(a: str, b: str, c: str, d: str) -> None:
    assert (Name(a, b).id == Name(c, d).id) == ((a, b) == (c, d))


@pytest.mark.parametrize(
    "text", ["", "/", "a/", "/a", "A/b", "a/b/c", "a.b/c", "-a/b", "a/b-", "ä/b", "a" * 64 + "/b", "a/b\n"]
)
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Name.parse(text)


def test_a_project_from_the_context_completes_a_bare_name() -> None:
    assert Name.parse("late", project="flights") == Name("flights", "late")
    with pytest.raises(UsageError, match="names no project"):
        Name.parse("late")
