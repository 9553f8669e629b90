"""What the engine refuses, in sentences that say what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mlplat.engine import refusals

LOG = Path("/state/engine/acme.local.log")


def of(stderr: str, *errors: str, signal: int = 0) -> tuple[str, str, int]:
    error = RuntimeError(f"\n code: 255\n stdout: Updating\n stderr: {stderr}\n")
    found = refusals.of(error, errors, signal, LOG)
    return found.message, found.hint or "", found.exit_code


@pytest.mark.parametrize(("host", "says"), [("elsewhere", "if it was killed"), (socket.gethostname(), "unlock` mends")])
def test_a_lock_names_its_holder(host: str, says: str) -> None:
    message, hint, _ = of(
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the"
        " lock file with `pulumi cancel`.\n  file:///s/.pulumi/locks/organization/acme/local/1.json:"
        f" created by ada@{host} (pid 4194305) at 2026-01-01T00:00:00Z"
    )
    assert f"ada@{host} (pid 4194305) since 2026-01-01T00:00:00Z" in message
    assert says in hint


def test_a_providers_hint_is_a_hint_and_the_log_is_named() -> None:
    message, hint, code = of("error: update failed", "port 1 is held by nc\nhint: set `tracking.port`")
    assert (message, code) == ("port 1 is held by nc", 1)
    assert hint.splitlines() == ["set `tracking.port`", f"the engine's words are in {LOG}"]


def test_what_is_only_on_stderr_is_shown_without_the_sdks_frame() -> None:
    message, _, _ = of("warning: old\nerror: failed to decrypt")
    assert message == "failed to decrypt"


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_is_not_a_failure_of_the_engine(number: int) -> None:
    message, hint, code = of("error: update canceled", "update cancelled", signal=number)
    assert message.startswith("interrupted")
    assert str(LOG) in hint
    assert code == 128 + number


def test_a_wrong_passphrase_says_where_the_right_one_belongs() -> None:
    message, hint, _ = of("error: getting secrets manager: incorrect passphrase")
    assert "passphrase" in message
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in hint


def test_what_a_plan_does_not_allow_is_a_change_in_between() -> None:
    error = "resource urn:pulumi:local::acme::a:b:C::x violates plan: properties changed: ~~threads"
    message, hint, _ = of("error: update failed", error)
    assert message.startswith("something changed after the preview")
    assert "run the command again" in hint


def test_what_is_protected_and_would_be_replaced_is_named_once_each() -> None:
    said = "as it is currently marked for protection. To unprotect the resource, remove the `protect` flag"
    errors = [
        f'unable to replace resource "urn:pulumi:dev::m::a$aws:s3/bucket:Bucket::{name}"\n{said}' for name in "ab"
    ]
    message, hint, _ = of("error: preview failed", *errors, errors[0])
    assert message.startswith("`a`, `b`: protected, and what the stack file says now would make another one")
    assert message.endswith("nothing is changed")
    assert "write the setting as it was" in hint


def test_what_a_failed_up_did_not_come_to_does_not_hide_what_failed() -> None:
    unreached = [
        f"error: expected resource operations for urn:pulumi:dev::m::a:b:C::{n} but none were seen" for n in "xy"
    ]
    message, _, _ = of("error: update failed", unreached[0], "VcpuLimitExceeded: 0 vCPU of the family G", unreached[1])
    assert message == "VcpuLimitExceeded: 0 vCPU of the family G"


def test_what_the_program_no_longer_asks_for_is_a_change_in_between() -> None:
    unreached = "error: expected resource operations for urn:pulumi:dev::m::a:b:C::x but none were seen"
    assert of("error: update failed", unreached)[0].startswith("something changed after the preview")
