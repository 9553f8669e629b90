"""Any service, for tests of what holds for each."""

from __future__ import annotations

from hypothesis import strategies as st

from mlplat.services import Http, Job, Open, Ref, SecretRef, Service, Volume

SIGNS = st.characters(exclude_categories=("Cs", "Cc"))
LABELS = st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
TEXTS = (
    st.text(SIGNS, max_size=20) | st.just(Ref("region")) | st.tuples(st.text(SIGNS, max_size=5), st.just(Ref("host")))
)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(SIGNS, max_size=9), st.lists, max_leaves=5)
ENV = st.dictionaries(
    st.from_regex(r"[A-Z]{1,9}", fullmatch=True), TEXTS | st.builds(SecretRef, LABELS, LABELS), max_size=4
)
PORTS = st.integers(1, 65_535)
SERVICES = st.builds(
    Service,
    name=LABELS,
    image=st.just("image"),
    argv=st.lists(TEXTS, max_size=4).map(tuple),
    ready=st.builds(Http, st.just("/ready"), timeout=st.floats(1, 900)) | st.just(Open(port="http")),
    env=ENV,
    ports=st.fixed_dictionaries({"http": PORTS}),
    files=st.dictionaries(LABELS, JSON, max_size=2),
    live=st.dictionaries(LABELS, JSON, max_size=2),
    reaches=st.lists(st.sampled_from(["api", "database", "other"]), unique=True).map(tuple),
    callers=st.sampled_from([(), ("gateway",)]),
    replicas=st.integers(1, 5),
    setup=st.lists(st.builds(Job, LABELS, st.lists(TEXTS, max_size=3).map(tuple), ENV), unique_by=repr, max_size=2).map(
        tuple
    ),
    volumes=st.lists(st.builds(Volume, st.just("/data"), st.integers(1, 9)), max_size=1).map(tuple),
    metrics=st.none() | st.just("/metrics"),
    stop_seconds=st.integers(1, 600),
    exclusive=st.booleans(),
)
