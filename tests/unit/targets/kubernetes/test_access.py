from __future__ import annotations

from typing import Any

from mlplat.targets.kubernetes import access

ROLES = {each["metadata"]["name"]: each["rules"] for each in access.roles()}
READING = {"get", "list", "watch"}


def verbs(role: str, group: str, resource: str) -> set[str]:
    rules: list[dict[str, Any]] = ROLES[role]
    return {
        verb for each in rules if group in each["apiGroups"] and resource in each["resources"] for verb in each["verbs"]
    }


def test_each_role_has_all_of_the_one_below() -> None:
    view, edit, admin = (ROLES[each] for each in (access.VIEW, access.EDIT, access.ADMIN))
    assert edit[: len(view)] == view
    assert admin[: len(edit)] == edit
    assert len(view) < len(edit) < len(admin)


def test_who_looks_changes_nothing_and_reads_no_secret() -> None:
    assert {verb for each in ROLES[access.VIEW] for verb in each["verbs"]} == READING
    assert verbs(access.VIEW, "", "secrets") == set()


def test_members_say_what_they_wish_and_not_what_became_of_it() -> None:
    assert {"create", "patch", "delete"} <= verbs(access.EDIT, "mlplat.dev", "modelendpoints")
    assert verbs(access.EDIT, "mlplat.dev", "modelendpoints/status") == READING


def test_nobody_in_a_team_opens_its_network_raises_its_quota_or_acts_as_its_accounts() -> None:
    for group, resource in [
        ("networking.k8s.io", "networkpolicies"),
        ("", "resourcequotas"),
        ("", "limitranges"),
        ("", "serviceaccounts"),
        ("gateway.envoyproxy.io", "securitypolicies"),
        ("rbac.authorization.k8s.io", "roles"),
    ]:
        assert verbs(access.ADMIN, group, resource) <= READING, resource
    for resource in ("serviceaccounts/token", "pods/exec", "pods/attach", "namespaces"):
        assert verbs(access.ADMIN, "", resource) == set(), resource


def test_only_who_leads_sees_keys_and_changes_access() -> None:
    assert verbs(access.EDIT, "", "secrets") == set()
    assert verbs(access.EDIT, "rbac.authorization.k8s.io", "rolebindings") == READING
    assert {"get", "create", "delete"} <= verbs(access.ADMIN, "", "secrets")
    assert {"create", "delete"} <= verbs(access.ADMIN, "rbac.authorization.k8s.io", "rolebindings")


def test_no_rule_is_for_everything() -> None:
    for rules in ROLES.values():
        for each in rules:
            assert "*" not in {*each["apiGroups"], *each["resources"], *each["verbs"]}
