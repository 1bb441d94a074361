"""Checkpoints of members while they are trained: those of the epochs that may still be chosen, no others.

All members are taken at one epoch, which is known when the last of them is trained. A checkpoint of every
epoch of every member would be k times the epochs in checkpoints; of most epochs it shows early that they are
not the best.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from moleblend_plugin.ensembles.epoch import contenders
from moleblend_plugin.runs.event_log import validations
from moleblend_plugin.runs.run_files import EVENT_LOG

_FEWEST: Final = 4
_SHARE: Final = 0.25
"""Of the epochs; so many stay while members remain to be trained, whose curves are not known yet. On ESOL the
epoch that was best in the end was among the three best of every one and every pair of the four members."""


class EpochFiles:
    """Checkpoints by epoch in the runs of the members.

    Args:
        runs: folder of each member's run.
        labels: number of labels that each is validated on.
        metric: of validation, which chooses the epoch.
        rises: whether more of it is better.
        only: the epoch that is wanted; ``None``: it is not chosen yet.
    """

    def __init__(
        self,
        runs: Sequence[Path],
        labels: Sequence[float],
        metric: str,
        rises: bool = False,
        only: int | None = None,
    ) -> None:
        self._runs, self._labels = tuple(runs), tuple(labels)
        self._metric, self._rises, self._only = metric, rises, only

    def path(self, member: int, epoch: int) -> Path:
        """Where a member's checkpoint of an epoch is, or was."""
        return self._runs[member] / f"checkpoint{epoch}.pt"

    def lacking(self, epoch: int) -> list[int]:
        """Members without a checkpoint of an epoch."""
        return [member for member in range(len(self._runs)) if not self.path(member, epoch).is_file()]

    def tidy(self) -> None:
        """Remove what will not be chosen, as far as the members are trained."""
        begun = [
            (run, curve, count)
            for run, count in zip(self._runs, self._labels, strict=True)
            if (curve := curve_so_far(run / EVENT_LOG, self._metric))
        ]
        if not begun:
            return
        if self._only is not None:
            stay = {self._only}
        else:
            curves, labels = [curve for _, curve, _ in begun], [count for _, _, count in begun]
            seen = max(len(curve) for curve in curves)
            # Of members that are all on their way the best so far is enough.
            count = 1 if len(begun) == len(self._runs) else max(_FEWEST, math.ceil(_SHARE * seen))
            stay = contenders(curves, labels, count, self._rises)
        for run, curve, _ in begun:
            self._remove(run, curve, stay)

    @staticmethod
    def _remove(run: Path, curve: dict[int, float], stay: set[int]) -> None:
        for file in run.glob("checkpoint*.pt"):
            found = re.fullmatch(r"checkpoint(\d+)\.pt", file.name)
            epoch = int(found[1]) if found else 0  # 0: the best of this member alone
            # One that was not validated, while a later one is, cannot be chosen.
            if epoch not in stay and (epoch in curve or epoch < max(curve)):
                file.unlink(missing_ok=True)


def curve_so_far(log: Path, metric: str) -> dict[int, float]:
    """By epoch, a metric of the part ``valid``, as far as a run's log holds it."""
    own = (event for event in validations(log) if event.get("subset") == "valid")
    found = ((int(event["epoch"]), event.get(metric)) for event in own)
    return {epoch: float("nan") if value is None else float(value) for epoch, value in found}
