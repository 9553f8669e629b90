"""Fitted trees as one node of an ONNX graph, with thresholds and leaves in float64, as scikit-learn has them.

The operator is `TreeEnsemble` of `ai.onnx.ml` 5: the older ones compare in float32, which moves rows that lie near a
split, and whole numbers above 2**24, to the other side of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SUM, NO_TRANSFORM, LESS_OR_EQUAL = 1, 0, 0
"""Values of `aggregate_function`, `post_transform` and `nodes_modes` in the operator's definition."""


@dataclass(frozen=True)
class Tree:
    """One binary tree of n nodes, the root first; a row goes left where its value is at most the threshold."""

    leaf: Mask
    feature: Integers
    threshold: Floats
    left: Integers
    right: Integers
    missing_left: Mask
    """Whether a row without a value goes left."""
    value: Floats
    """What a leaf adds."""


def boosted(predictor: Any) -> Tree:
    """Return a tree of a histogram gradient boosting model."""
    nodes = predictor.nodes
    return Tree(
        nodes["is_leaf"].astype(np.bool_),
        nodes["feature_idx"].astype(np.int64),
        nodes["num_threshold"].astype(np.float64),
        nodes["left"].astype(np.int64),
        nodes["right"].astype(np.int64),
        nodes["missing_go_to_left"].astype(np.bool_),
        nodes["value"].astype(np.float64),
    )


def grown(tree: Any, value: Floats) -> Tree:
    """Return a decision tree, or one of a forest, with a value a node (n)."""
    return Tree(
        np.asarray(tree.children_left == tree.children_right),
        tree.feature.astype(np.int64),
        tree.threshold.astype(np.float64),
        tree.children_left.astype(np.int64),
        tree.children_right.astype(np.int64),
        tree.missing_go_to_left.astype(np.bool_),
        value,
    )


def ensemble(trees: Iterable[Tree]) -> dict[str, Any]:
    """Return the attributes of the node that adds the leaves which a row reaches: rows × features to rows × 1."""
    from onnx import numpy_helper

    numbered: list[dict[str, NDArray[Any]]] = []
    roots, nodes, leaves = [], 0, 0
    for tree in trees:
        made = _numbered(tree, nodes, leaves)
        roots.append(nodes)
        nodes, leaves = nodes + len(made["feature"]), leaves + len(made["value"])
        numbered.append(made)
    joined = {name: np.concatenate([made[name] for made in numbered]) for name in numbered[0]}
    listed = {name: joined[name].astype(np.int64).tolist() for name in joined if name not in {"threshold", "value"}}
    return {
        "n_targets": 1,
        "aggregate_function": SUM,
        "post_transform": NO_TRANSFORM,
        "tree_roots": roots,
        "nodes_modes": numpy_helper.from_array(np.full(nodes, LESS_OR_EQUAL, dtype=np.uint8), "modes"),
        "nodes_featureids": listed["feature"],
        "nodes_splits": numpy_helper.from_array(joined["threshold"], "splits"),
        "nodes_truenodeids": listed["left"],
        "nodes_trueleafs": listed["left_leaf"],
        "nodes_falsenodeids": listed["right"],
        "nodes_falseleafs": listed["right_leaf"],
        "nodes_missing_value_tracks_true": listed["missing_left"],
        "leaf_targetids": [0] * leaves,
        "leaf_weights": numpy_helper.from_array(joined["value"], "weights"),
    }


def _numbered(tree: Tree, nodes: int, leaves: int) -> dict[str, NDArray[Any]]:
    """Number a tree's splits from `nodes` and its leaves from `leaves`: the operator counts them apart."""
    if tree.leaf[0]:
        # The operator knows no tree without a split: one that leads to the same leaf either way.
        one, zero = np.array([1]), np.array([0])
        only = {"left": zero + leaves, "right": zero + leaves, "left_leaf": one, "right_leaf": one}
        return {"feature": zero, "threshold": np.zeros(1), "missing_left": zero, "value": tree.value[:1], **only}
    split = ~tree.leaf
    number = np.where(tree.leaf, leaves + np.cumsum(tree.leaf) - 1, nodes + np.cumsum(split) - 1)
    left, right = tree.left[split], tree.right[split]
    return {
        "feature": tree.feature[split],
        "threshold": tree.threshold[split],
        "missing_left": tree.missing_left[split],
        "left": number[left],
        "right": number[right],
        "left_leaf": tree.leaf[left],
        "right_leaf": tree.leaf[right],
        "value": tree.value[tree.leaf],
    }
