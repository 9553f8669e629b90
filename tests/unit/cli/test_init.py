"""`mlplat init` as a person meets it: exit code, stdout and stderr of real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from typed import mlplat


def test_its_folder_is_printed_and_the_next_step_said(place: Path) -> None:
    assert mlplat("init", "repo", "--name", "acme") == (
        f"exit 0\n--- stdout\n{place}/repo\n--- stderr\n"
        "made repo, the platform acme\nnext: `cd repo`, then `mlplat up`\n"
    )


def test_the_folder_one_stands_in_needs_no_step_into_it(place: Path) -> None:
    assert mlplat("init", ".", "--yes").endswith("made ., the platform place\nnext: `mlplat up`\n")


def test_a_cluster_s_next_step_is_to_write_what_it_stands_on(place: Path) -> None:
    assert mlplat("init", "repo", "--name", "acme", "--target", "kubernetes", "--context", "eu", "--stack", "dev") == (
        f"exit 0\n--- stdout\n{place}/repo\n--- stderr\nmade repo, the platform acme\n"
        "next: `cd repo`, then write your own into stacks/Pulumi.dev.yaml, then `mlplat doctor -s dev`\n"
    )


def test_there_is_no_other_target_to_begin_with(place: Path) -> None:
    assert mlplat("init", "repo", "--name", "acme", "--target", "moon") == (
        "exit 2\n--- stdout\n--- stderr\nerror: `target`: `moon` is not one of its choices\n"
        "hint: one of local, kubernetes\n"
    )
    assert list(place.iterdir()) == []


def test_without_a_terminal_the_name_is_given_or_its_default_agreed_to(place: Path) -> None:
    assert mlplat("init", "repo") == (
        "exit 2\n--- stdout\n--- stderr\n"
        "error: `name` is not set and there is no terminal to ask on: Name of the platform, by which projects find it\n"
        "hint: give it with `--name …`, or take all defaults with `--yes`\n"
    )
    assert list(place.iterdir()) == []


def test_a_name_that_cannot_be_is_refused(place: Path) -> None:
    assert mlplat("init", "repo", "--name", "Acme") == (
        "exit 2\n--- stdout\n--- stderr\nerror: `name`: `Acme` does not fit\n"
        "hint: lower-case letters, digits and `-`, at most 63, starting and ending with a letter or digit\n"
    )
    assert list(place.iterdir()) == []


def test_a_folder_with_files_is_left_alone(place: Path) -> None:
    (place / "mine").touch()
    assert mlplat("init", ".", "--yes") == (
        f"exit 2\n--- stdout\n--- stderr\nerror: {place} is not empty\nhint: name another folder\n"
    )


def test_up_in_it_says_the_stack_file_that_it_used_from_any_folder_below(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlplat("init", "repo", "--name", "acme")
    monkeypatch.chdir(place / "repo/stacks")
    told = mlplat("up", "--preview", "--json")
    assert f"stack local: {place}/repo/stacks/Pulumi.local.yaml\n" in told
    assert "connection/acme.local" in told


def test_a_project_can_be_made_for_it(place: Path) -> None:
    mlplat("new", "churn", "--defaults", "--set", "platform=acme")
    assert "\nplatform: acme\n" in (place / "churn/mlplat.yaml").read_text()
    assert json.loads((place / "churn/.mlplat/answers.json").read_text())["answers"]["platform"] == "acme"
