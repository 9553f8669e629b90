from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import mlplat
from mlplat.errors import SpecError
from mlplat.images import lock
from mlplat.images.lock import Lock, Locked

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
DIGEST = f"sha256:{'a' * 64}"
SERVING = Locked(reference=f"registry.example.com/mlplat/serving@{DIGEST}", tag="1.0-abc")


def test_it_lies_beside_its_stack_file() -> None:
    assert lock.lock_file(Path("stacks/Pulumi.prod-eu.yaml")) == Path("stacks/images.prod-eu.lock.json")


def test_none_yet_is_an_empty_one(tmp_path: Path) -> None:
    assert lock.read(tmp_path / "images.prod.lock.json") == Lock()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "images.prod.lock.json"
    made = Lock().having({"serving": SERVING}, NOW)
    assert lock.write(path, made)
    assert lock.read(path) == made
    assert json.loads(path.read_text()) == {
        "version": 1,
        "mlplat": mlplat.__version__,
        "locked": "2026-01-02T03:04:05Z",
        "images": {"serving": {"reference": SERVING.reference, "tag": "1.0-abc"}},
    }


def test_what_it_has_already_changes_nothing_not_even_its_time() -> None:
    made = Lock().having({"serving": SERVING}, NOW)
    assert made.having({"serving": SERVING}) is made


def test_an_image_that_comes_later_leaves_the_others_and_order_is_by_name() -> None:
    made = Lock().having({"tracking": SERVING}, NOW).having({"serving": SERVING})
    assert list(made.images) == ["serving", "tracking"]
    assert made.locked is not None
    assert made.locked > NOW


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ('{"version": 2}', "version"),
        ('{"images": {"serving": {"reference": "registry.example.com/serving:1", "tag": "1"}}}', "pattern"),
        ('{"imagse": {}}', "unknown key"),
    ],
)
def test_a_file_that_holds_no_lock_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "images.prod.lock.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=said) as refusal:
        lock.read(path)
    assert str(path) in refusal.value.message
