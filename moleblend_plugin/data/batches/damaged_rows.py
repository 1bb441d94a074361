"""Rows that cannot be read: left out of their batches, reported once each, counted."""

from __future__ import annotations

import logging

import torch

from moleblend_plugin.data.store.reader import DamagedValue
from moleblend_plugin.errors import MoleblendError

logger = logging.getLogger(__name__)


class DamagedRows:
    """The rows of a data set that were found damaged, known to all worker processes.

    Args:
        count: rows of the data set.
    """

    def __init__(self, count: int) -> None:
        self._seen = torch.zeros(count, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return int(self._seen.sum())

    def leave_out(self, index: int, damage: DamagedValue) -> None:
        """Continue without row ``index``.

        Raises:
            MoleblendError: no row is left.
        """
        if self._seen[index]:
            return
        self._seen[index] = 1
        found = len(self)
        if found == len(self._seen):
            raise MoleblendError(f"{damage}; this was the last of {found} rows, and all are damaged")
        logger.warning(f"{damage}; continuing without this row (damaged rows so far: {found})")
