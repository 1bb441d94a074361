"""What MMSA-style (reconstructed) pretraining logs: terms, retrieval between views, signs of collapse.

Values leave a batch as sums (fixed names, so that trainers can add them) and are averaged here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch

from moleblend_plugin.host import log_scalar
from moleblend_plugin.losses.structure import TERMS, StructureTerms
from moleblend_plugin.metrics.collapse import alarms, anchor_perplexity, effective_rank, spread
from moleblend_plugin.models.structure.network import StructureOutput

logger = logging.getLogger("moleblend_plugin")

_MATCHES = {"refined": "retrieval_refined", "read": "retrieval_read"}
"""Terms that find the 2d view, and the name under which their hits are logged."""


def retrieval_names(views: Sequence[str]) -> list[str]:
    """Names of the logged hit rates."""
    pairs = [f"{left}_{right}" for i, left in enumerate(views) for right in views[i + 1 :]]
    return [f"retrieval_{name}" for name in (*pairs, *_MATCHES)]


def term_outputs(found: StructureTerms, molecules: int) -> dict[str, Any]:
    """Sums of terms and hits of one batch."""
    hits = {f"retrieval_{pair}": term for pair, term in found.retrieval.items()}
    hits |= {name: found.terms[term] for term, name in _MATCHES.items()}
    logged: dict[str, Any] = {
        f"{name}_loss": term.loss.detach() * molecules for name, term in found.terms.items()
    }
    for name, term in hits.items():
        logged |= {f"{name}_score": term.score, f"{name}_counted": term.counted}
    return logged


class CollapseWatch:
    """Measures spread, rank and use of anchors, and says once when one of them falls too low.

    Args:
        views: names of the V views.
    """

    def __init__(self, views: Sequence[str]) -> None:
        self.views = tuple(views)
        self._told: set[str] = set()
        self._last: dict[str, float] | None = None

    def names(self) -> list[str]:
        """Names of what is measured."""
        return [*(f"spread_{view}" for view in self.views), "effective_rank", "anchor_perplexity"]

    @torch.no_grad()
    def outputs(self, output: StructureOutput, look: bool | None) -> dict[str, float]:
        """Sums of one batch.

        Args:
            output: of the network.
            look: whether to measure in an update, else what was measured last is told again; ``None``
                measures outside of updates.
        """
        if look is None:
            return self._look(output)
        if look or self._last is None:
            self._last = self._look(output)
        return self._last

    def _look(self, output: StructureOutput) -> dict[str, float]:
        found = self._measure(output)
        known = {name: value for name, value in found.items() if math.isfinite(value)}
        anchors, width = output.weights.shape[1], output.unified.shape[1]
        rows = int(output.present.any(1).sum())
        told = alarms(known, rows, width, anchors) if rows > 2 else []
        self._tell(told)
        logged = {"watch_alarms": float(len(told)), "watch_looks": 1.0}
        for name in self.names():
            logged |= {f"watch_{name}_sum": known.get(name, 0.0), f"watch_{name}_times": float(name in known)}
        return logged

    def _measure(self, output: StructureOutput) -> dict[str, float]:
        there = output.present
        found = {f"spread_{view}": spread(output.codes[there[:, v], v]) for v, view in enumerate(self.views)}
        found["effective_rank"] = effective_rank(output.unified[there.any(1)])
        found["anchor_perplexity"] = anchor_perplexity(output.weights)
        return found

    def _tell(self, told: Sequence[str]) -> None:
        now = {text.split()[0] for text in told}
        for text in told:
            if text.split()[0] not in self._told:
                logger.warning(f"collapse: {text}; see docs/structure_aware.md, 'Collapse'")
        self._told = now


def log_structure(logging_outputs: Sequence[dict[str, Any]]) -> None:
    """Average and log what :func:`term_outputs` and :class:`CollapseWatch` summed."""

    def total(key: str) -> float:
        return float(sum(output.get(key, 0) for output in logging_outputs))

    keys = {key for output in logging_outputs for key in output}
    molecules = total("sample_size")
    for name in TERMS:
        log_scalar(f"{name}_loss", total(f"{name}_loss") / max(molecules, 1), molecules, round=4)
    for key in sorted(key for key in keys if key.startswith("retrieval_") and key.endswith("_counted")):
        name, counted = key.removesuffix("_counted"), total(key)
        if counted:
            log_scalar(name, total(f"{name}_score") / counted, counted, round=4)
    for key in sorted(key for key in keys if key.startswith("watch_") and key.endswith("_times")):
        name, times = key.removesuffix("_times"), total(key)
        if times:
            log_scalar(name.removeprefix("watch_"), total(f"{name}_sum") / times, times, round=3)
    looks = total("watch_looks")
    if looks:
        log_scalar("collapse_alarms", total("watch_alarms") / looks, looks, round=3)
