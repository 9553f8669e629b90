"""GPUs: how many there are, who has them, and what they do."""

from __future__ import annotations

from mlplat.watching.alerts.nodes import GPU
from mlplat.watching.dashboards.panel import Board, Panel, Query, Row, Variable

CHOSEN = 'Hostname=~"$node"'
CARD = "{{Hostname}} {{gpu}}"
NODE = Variable("node", "DCGM_FI_DEV_GPU_UTIL", "Hostname")


def board() -> Board:
    """Return the page of GPUs."""
    text = "Cards as their driver sees them, and as the cluster gives them away."
    return Board("mlplat-gpu", "GPUs", text, (_given(), _cards()), (NODE,), alerts='alertname=~"Gpu.+"')


def _given() -> Row:
    asked = f'kube_pod_container_resource_requests{{resource=~"{GPU}"}}'
    idle = "avg_over_time(DCGM_FI_DEV_GPU_UTIL[1h]) < bool 5"
    return Row(
        "Given away",
        (
            Panel(
                "GPUs",
                (
                    Query(f'sum(kube_node_status_allocatable{{resource=~"{GPU}"}})', "there are"),
                    Query(f'sum(kube_pod_container_resource_requests{{resource=~"{GPU}", node!=""}})', "given to pods"),
                ),
            ),
            Panel("By namespace", (Query(f"sum by (namespace) ({asked})", "{{namespace}}"),), stacked=True),
            Panel(
                "Idle for an hour",
                (Query(f"sum by (Hostname) (max by (Hostname, gpu) ({idle}))", "{{Hostname}}"),),
                description="Cards that computed for less than 5 % of the last hour: they cost as much as any other.",
            ),
        ),
    )


def _cards() -> Row:
    def by_card(metric: str) -> str:
        return f"max by (Hostname, gpu) ({metric}{{{CHOSEN}}})"

    used, free = by_card("DCGM_FI_DEV_FB_USED"), by_card("DCGM_FI_DEV_FB_FREE")
    return Row(
        "Cards",
        (
            Panel("Busy", (Query(by_card("DCGM_FI_DEV_GPU_UTIL"), CARD),), "percent", most=100),
            Panel("Memory", (Query(f"{used} / ({used} + {free} > 0)", CARD),), "percentunit", most=1),
            Panel("Power", (Query(by_card("DCGM_FI_DEV_POWER_USAGE"), CARD),), "watt"),
            Panel(
                "Temperature",
                (Query(by_card("DCGM_FI_DEV_GPU_TEMP"), CARD),),
                "celsius",
                steps=((80, "orange"), (88, "red")),
                width=12,
            ),
            Panel("Last error of the driver", (Query(by_card("DCGM_FI_DEV_XID_ERRORS"), CARD),), width=12),
        ),
    )
