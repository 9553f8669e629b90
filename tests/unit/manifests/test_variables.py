from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from mlplat.manifests import Place
from mlplat.manifests.variables import Variables, variable
from mlplat.services import Http, Ref, SecretRef, Service


class Later:
    """Something that nobody has read yet, as an output is."""


UNREAD = Later()
SERVICE = Service("one", "image", (), Http("/"))
PLACE = Place(
    images={"image": "r/x:1", "other": "r/o:1"},
    values={"region": "here", "parts": ("a", Ref("region")), "unread": UNREAD, "bucket:data": UNREAD},
    production=False,
)


def variables() -> Variables:
    return Variables(SERVICE, PLACE)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (Ref("region"), "here"),
        (Ref("parts"), "ahere"),
        (("x=", Ref("region"), 1), "x=here1"),
        (Ref("files"), "/etc/mlplat"),
        (Ref("image:other"), "r/o:1"),
        ("costs $(5)", "costs $$(5)"),
        (Ref("host"), "0.0.0.0"),
        (("http://", Ref("host"), ":1"), "http://0.0.0.0:1"),
        (("s3://", Ref("bucket:data"), "/x"), "s3://$(MLPLAT_BUCKET_DATA)/x"),
        (("pw=", SecretRef("db", "url")), "pw=$(MLPLAT_DB_URL)"),
    ],
)
def test_a_text_says_what_is_known_and_refers_to_what_is_not(value: object, text: str) -> None:
    assert variables().argument(value) == text


def test_an_output_that_is_a_whole_argument_stays_one() -> None:
    assert variables().argument(Ref("unread")) is UNREAD


def test_what_texts_refer_to_stands_first_and_is_given_once() -> None:
    made = variables()
    made.argument(("a", Ref("host")))
    env = {"A": (Ref("host"), Ref("unread")), "B": SecretRef("s", "k"), "C": Ref("unread")}
    assert made.listed(env) == [
        {"name": "MLPLAT_UNREAD", "value": UNREAD},
        {"name": "A", "value": "0.0.0.0$(MLPLAT_UNREAD)"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "C", "value": UNREAD},
    ]


def test_a_database_is_the_services_own_secret() -> None:
    entry = {"name": "URL", "valueFrom": {"secretKeyRef": {"name": "one-database", "key": "url"}}}
    assert variables().listed({"URL": Ref("database")}) == [entry]


def test_a_reference_that_means_nothing_is_named() -> None:
    with pytest.raises(ValueError, match="one: nothing here is called `nowhere`"):
        variables().argument(Ref("nowhere"))


def test_a_file_holds_no_secret() -> None:
    with pytest.raises(ValueError, match="a file cannot hold"):
        variables().plain({"a": [SecretRef("db", "url")]})


def test_a_file_keeps_numbers_lists_and_outputs() -> None:
    content = {"n": 1, "no": None, "list": [Ref("region"), True], "text": ("a", Ref("region")), "later": Ref("unread")}
    assert variables().plain(content) == {"n": 1, "no": None, "list": ["here", True], "text": "ahere", "later": UNREAD}


def test_a_text_of_outputs_in_a_file_waits_for_them() -> None:
    with pytest.raises(TypeError, match="known only later"):
        variables().plain(("a", Ref("unread")))


@given(st.lists(st.text(alphabet="$()AB \\x", max_size=12), max_size=4))
def test_the_kubelet_gives_back_what_was_written(parts: list[str]) -> None:
    text = variables().argument(tuple(parts))
    assert workloads.expanded(text, {"A": "!", "B": "!", "AB": "!", "": "!"}) == "".join(parts)


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=20))
def test_a_variables_name_is_one(text: str) -> None:
    assert all(sign.isupper() or sign.isdigit() or sign == "_" for sign in variable(text))
