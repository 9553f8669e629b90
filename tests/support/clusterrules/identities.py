"""Rules on who pods are in an account: the roles that charts' service accounts are to have."""

from __future__ import annotations

from clusterrules.base import Case, Found, ancestors, at, chart_name, charts, documents, leaves, namespace, rule, value
from rules.base import aws

ACCOUNTS = {
    "external-secrets": "serviceAccount.name",
    "kube-prometheus-stack": "alertmanager.serviceAccount.name",
}
"""Charts that ask the account for something, and where it is said as whom."""


@rule
def charts_have_their_roles(case: Case) -> Found:
    """A pod takes the role that its namespace and service account are bound to when it starts, or none for ever."""
    if case.spec.aws is None:
        return
    before = ancestors(case.graph)
    bound = {
        (each.inputs.get("namespace"), each.inputs.get("serviceAccount")): each.key
        for each in aws(case.graph, "eks.PodIdentityAssociation")
    }
    for each in charts(case, *ACCOUNTS):
        if chart_name(each) == "kube-prometheus-stack" and not _tells_topics(case):
            continue
        path = ACCOUNTS[chart_name(each)]
        account = (namespace(each), value(each, path))
        if account not in bound:
            yield each.key, f"runs as {account[1]} in {account[0]}, which has no role"
        elif bound[account] not in before(each.key):
            yield each.key, f"does not wait for {bound[account]}"


def _tells_topics(case: Case) -> bool:
    return any(
        "snsConfigs" in path
        for each in documents(case, "AlertmanagerConfig")
        for path, _ in leaves(at(each.inputs, "spec"))
    )
