from __future__ import annotations

import pytest

from mlplat.serving import options

NEEDED = [
    *("--bundle", "/b", "--digest", "sha256:0", "--endpoint", "flights/late", "--revision", "r1"),
    *("--model-version", "1", "--port", "0"),
]


def test_without_a_word_a_server_listens_on_this_computer_alone() -> None:
    assert options.parse(NEEDED).host == "127.0.0.1"


@pytest.mark.parametrize("address", ["10.1.2.3", "fd00::1", "0.0.0.0"])
def test_a_server_listens_on_the_one_address_it_is_told(address: str) -> None:
    assert options.parse([*NEEDED, "--host", address]).host == address


def test_a_name_is_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        options.parse([*NEEDED, "--host", "localhost"])
    assert left.value.code == 2
    assert "--host" in capsys.readouterr().err
