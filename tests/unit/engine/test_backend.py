"""Where a stack's state is kept."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mlplat.engine import backend
from mlplat.errors import StateError, UsageError
from mlplat.files import config_dir, state_dir
from mlplat.spec.platform import EngineSpec, PlatformSpec


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in backend.GIVEN:
        monkeypatch.delenv(name, raising=False)


def spec(url: str | None = None) -> PlatformSpec:
    return PlatformSpec(name="acme", engine=EngineSpec(backend=url))


def test_without_an_address_it_is_a_folder_of_mlplats_own() -> None:
    assert backend.of(spec(), "local").folder() == state_dir() / "pulumi"


@pytest.mark.parametrize("url", ["somewhere", "file://relative/folder"])
def test_an_address_that_two_programs_would_read_differently_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        backend.of(spec(), "local", url)


def test_a_passphrase_is_made_once_for_its_owner_alone_and_said() -> None:
    chosen = backend.of(spec(), "local")
    said = chosen.prepare()
    assert chosen.passphrase == config_dir() / "passphrases" / "acme.local"
    assert stat.S_IMODE(chosen.passphrase.stat().st_mode) == 0o600
    secret = chosen.passphrase.read_text()
    assert len(said) == 2
    assert secret.strip() not in " ".join(said)
    assert backend.of(spec(), "local").prepare() == []
    assert chosen.passphrase.read_text() == secret


def test_a_given_passphrase_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "theirs")
    chosen = backend.of(spec(), "local")
    chosen.prepare()
    assert chosen.passphrase is None
    assert not (config_dir() / "passphrases").exists()
    assert not [name for name in chosen.environment() if "PASSPHRASE" in name]


def test_a_stack_of_another_computer_needs_its_own_passphrase_and_gets_no_new_one(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text("config: {}\n")
    chosen = backend.of(spec(), "local")
    chosen.refuse_without_passphrase(file)
    file.write_text("config: {}\nencryptionsalt: v1:abc\n")
    with pytest.raises(StateError) as refused:
        chosen.refuse_without_passphrase(file)
    assert str(chosen.passphrase) in (refused.value.hint or "")
    chosen.prepare()
    chosen.refuse_without_passphrase(file)


def test_the_engine_finds_the_provider_before_anything_else() -> None:
    told = backend.of(spec("s3://state"), "local").environment()
    assert told["PULUMI_BACKEND_URL"] == "s3://state"
    assert (Path(told["PATH"].split(os.pathsep)[0]) / "pulumi-resource-mlplat").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="file"):
        backend.of(spec(f"file://{tmp_path}/file/state"), "local").prepare()


def test_a_key_takes_the_place_of_the_passphrase(tmp_path: Path) -> None:
    keyed = PlatformSpec(name="acme", engine=EngineSpec(backend="s3://state", secrets="awskms://alias/acme"))
    chosen = backend.of(keyed, "prod")
    assert (chosen.passphrase, chosen.secrets) == (None, "awskms://alias/acme")
    assert chosen.prepare() == []
    assert not [name for name in chosen.environment() if "PASSPHRASE" in name]
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text("config: {}\nencryptedkey: abc\n")
    chosen.refuse_without_passphrase(file)
    file.write_text("config: {}\nencryptionsalt: v1:abc\n")
    with pytest.raises(StateError, match="names a key"):
        chosen.refuse_without_passphrase(file)


def test_only_a_stack_of_an_account_is_guarded_and_by_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlplat.spec.aws import AwsSpec
    from mlplat.targets.aws import session

    asked: list[AwsSpec] = []
    monkeypatch.setattr(session, "open", asked.append)
    backend.guard(spec())
    assert asked == []
    account = AwsSpec(account="111122223333", region="eu-west-1")
    backend.guard(PlatformSpec(target="aws", aws=account, engine=EngineSpec()))
    assert asked == [account]
