"""Signs of collapse in MMSA-style (reconstructed) pretraining, measured and logged.

Values leave a batch as sums (fixed names, so that trainers can add them) and are averaged here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch

from moleblend_plugin.metrics.collapse import alarms, anchor_perplexity, effective_rank, spread
from moleblend_plugin.schema import VIEWS, StructureOutput
from moleblend_plugin.tasks.term_loss import log_mean, summed

logger = logging.getLogger("moleblend_plugin")


class CollapseWatch:
    """Measures spread, rank and use of anchors, and says once when one of them falls too low.

    Args:
        views: names of the V views.
    """

    def __init__(self, views: Sequence[str]) -> None:
        self.views = tuple(views)
        self._raised: set[str] = set()
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
        raised = alarms(known, rows, width, anchors) if rows > 2 else []
        self._warn(raised)
        logged = {"watch_alarms": float(len(raised)), "watch_looks": 1.0}
        for name in self.names():
            logged |= {f"watch_{name}_sum": known.get(name, 0.0), f"watch_{name}_times": float(name in known)}
        return logged

    def _measure(self, output: StructureOutput) -> dict[str, float]:
        there = output.present
        found = {f"spread_{view}": spread(output.codes[there[:, v], v]) for v, view in enumerate(self.views)}
        found["effective_rank"] = effective_rank(output.unified[there.any(1)])
        found["anchor_perplexity"] = anchor_perplexity(output.weights)
        return found

    def _warn(self, raised: Sequence[str]) -> None:
        now = {text.split()[0] for text in raised}
        for text in raised:
            if text.split()[0] not in self._raised:
                logger.warning(f"collapse: {text}; see docs/structure_aware.md, 'Collapse'")
        self._raised = now


def log_watch(logging_outputs: Sequence[dict[str, Any]]) -> None:
    """Average and log what :class:`CollapseWatch` summed."""
    for name in CollapseWatch(tuple(VIEWS)).names():
        if summed(logging_outputs, f"watch_{name}_times"):
            log_mean(name, logging_outputs, f"watch_{name}_sum", f"watch_{name}_times", digits=3)
    if summed(logging_outputs, "watch_looks"):
        log_mean("collapse_alarms", logging_outputs, "watch_alarms", "watch_looks", digits=3)
