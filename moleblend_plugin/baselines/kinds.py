"""The table of baselines: which features of a molecule, and which learner on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FEATURE_NAMES: Final = ("ecfp4", "ecfp4-counts", "descriptors")
"""Features of molecules, keys of ``FEATURES`` (``baselines/features.py``)."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one baseline is made of.

    Attributes:
        features: out of :data:`FEATURE_NAMES`, side by side in this order.
        learner: a key of ``LEARNERS`` (``baselines/learners.py``): forest, boosted trees, linear with L2,
            nearest neighbours.
    """

    features: tuple[str, ...]
    learner: str


BASELINES: Final[dict[str, Baseline]] = {
    "ecfp4-rf": Baseline(("ecfp4",), "rf"),
    "ecfp4-gb": Baseline(("ecfp4",), "gb"),
    "ecfp4-counts-rf": Baseline(("ecfp4-counts",), "rf"),
    "ecfp4-counts-gb": Baseline(("ecfp4-counts",), "gb"),
    "descriptors-rf": Baseline(("descriptors",), "rf"),
    "descriptors-gb": Baseline(("descriptors",), "gb"),
    "descriptors-ecfp4-counts-rf": Baseline(("descriptors", "ecfp4-counts"), "rf"),
    "descriptors-ecfp4-counts-gb": Baseline(("descriptors", "ecfp4-counts"), "gb"),
}
"""By the kind that a comparison names."""

LEARNER_NUMBERS: Final[dict[str, tuple[str, ...]]] = {
    "rf": ("n_estimators", "max_features", "min_samples_leaf", "max_depth"),
    "gb": ("max_iter", "learning_rate", "max_features", "min_samples_leaf", "max_leaf_nodes"),
    "ridge": (),
    "knn": (),
}
"""By learner, the numbers that may be given; ridge and knn choose theirs by cross-validation."""
