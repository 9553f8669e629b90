from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlplat import images
from mlplat.errors import RefusedError, UsageError
from mlplat.images import Lock, Locked, lock
from mlplat.services.cluster import on_cluster
from mlplat.spec.platform import PlatformSpec, parse_platform

BUCKETS = {name: f"the-{name}" for name in ("data", "artifacts", "features", "pipelines")}
DIGEST = f"sha256:{'a' * 64}"


def platform(**changes: Any) -> PlatformSpec:
    """Return a platform on a cluster, in production unless it is said otherwise."""
    kubernetes = {
        "context": "prod",
        "databases": {"tracking": "tracking-database"},
        "objects": {"buckets": BUCKETS},
        "images": {"registry": "registry.example.com/mlplat"},
        **changes,
    }
    return parse_platform({"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": kubernetes}, "test")


def locked(spec: PlatformSpec, *names: str, tag: str | None = None) -> Lock:
    """Return a lock with these images, as this mlplat builds them unless a tag is given."""
    made = {
        name: Locked(reference=f"registry.example.com/mlplat/{name}@{DIGEST}", tag=tag or images.tag(spec, name))
        for name in names
    }
    return Lock().having(made)


def test_a_locked_image_is_named_by_its_digest() -> None:
    spec = platform()
    assert images.reference(spec, "serving", locked(spec, "serving")) == f"registry.example.com/mlplat/serving@{DIGEST}"


def test_one_that_is_not_locked_has_its_tag_outside_production_alone() -> None:
    spec = platform(production=False)
    assert images.reference(spec, "serving") == f"registry.example.com/mlplat/serving:{images.tag(spec, 'serving')}"
    with pytest.raises(RefusedError, match="`serving`") as refusal:
        images.reference(platform(), "serving")
    assert "mlplat images push" in str(refusal.value.hint)


def test_an_account_s_registry_stands_in_for_one_that_is_not_written() -> None:
    spec = platform(production=False, images={})
    assert images.tagged(spec, "serving", "1.dkr/x") == f"1.dkr/x/serving:{images.tag(spec, 'serving')}"


def test_without_a_registry_no_node_looks_for_an_image_on_another_computer() -> None:
    spec = platform(production=False, images={})
    assert images.reference(spec, "serving").startswith("localhost/mlplat/serving:")


def test_an_image_that_there_is_not_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError) as refusal:
        images.reference(platform(), "servign")
    assert "`serving`" in str(refusal.value.hint)


@pytest.mark.parametrize(
    ("databases", "has"),
    [({"tracking": "t"}, False), ({"tracking": "t", "features": "f"}, True), (None, True)],
    ids=["none", "a database", "a small one"],
)
def test_feast_s_image_is_needed_where_there_is_a_database_for_it(databases: dict[str, str] | None, has: bool) -> None:
    assert ("features" in images.needed(platform(databases=databases, production=False))) == has


@pytest.mark.parametrize("databases", [None, {"tracking": "t"}, {"tracking": "t", "features": "f"}])
def test_every_image_of_ours_that_a_service_runs_in_is_needed(databases: dict[str, str] | None) -> None:
    spec = platform(databases=databases, production=False)
    named = {name for service in on_cluster(spec) for name in (service.image, *(job.image for job in service.setup))}
    assert {name for name in named if name and "/" not in name} | {"serving"} == set(images.needed(spec))


def test_production_waits_for_every_image_as_this_mlplat_builds_it(tmp_path: Path) -> None:
    spec, file = platform(), tmp_path / "Pulumi.prod.yaml"
    names = images.needed(spec)
    assert images.missing(spec, Lock()) == names
    with pytest.raises(RefusedError) as refusal:
        images.refuse_missing(spec, file)
    assert str(tmp_path / "images.prod.lock.json") in refusal.value.message
    assert all(f"`{name}`" in refusal.value.message for name in names)
    assert "`mlplat images push -s prod`" in str(refusal.value.hint)

    path = images.lock_file(file)
    lock.write(path, locked(spec, *names, tag="0.0-of-another"))
    with pytest.raises(RefusedError):
        images.refuse_missing(spec, file)
    lock.write(path, locked(spec, *names[1:]))
    with pytest.raises(RefusedError, match=f"`{names[0]}`"):
        images.refuse_missing(spec, file)
    lock.write(path, locked(spec, *names))
    images.refuse_missing(spec, file)


def test_elsewhere_nothing_is_waited_for(tmp_path: Path) -> None:
    images.refuse_missing(platform(production=False), tmp_path / "Pulumi.dev.yaml")


def test_an_account_s_first_up_makes_the_registry_and_so_asks_for_no_image(tmp_path: Path) -> None:
    aws = {"account": "123456789012", "region": "eu-west-1"}
    spec = parse_platform({"version": 2, "target": "aws", "engine": {}, "aws": aws}, "test")
    file = tmp_path / "Pulumi.prod.yaml"
    images.refuse_missing(spec, file)
    lock.write(images.lock_file(file), locked(spec, "serving"))
    with pytest.raises(RefusedError, match="`controller`"):
        images.refuse_missing(spec, file)


def test_another_base_makes_a_lock_out_of_date() -> None:
    spec = platform()
    rebased = platform(images={"registry": "registry.example.com/mlplat", "base": f"python@{DIGEST}"})
    assert images.missing(rebased, locked(spec, *images.NAMES)) == images.needed(spec)
