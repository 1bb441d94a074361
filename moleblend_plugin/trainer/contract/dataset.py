"""Base class of data sets, with the contract of Uni-Core's ``UnicoreDataset``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

Indices = npt.NDArray[np.integer]


class IndexOrder(Protocol):
    """Indices in an order, read by slices, as an array is."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, part: slice, /) -> Indices:
        """Those of consecutive places."""


class BaseDataset(Dataset[Any]):
    """A data set that knows how to collate and order its items."""

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401  any item that collater understands
        """Item number ``index`` of the current epoch."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Number of items."""
        raise NotImplementedError

    def collater(self, samples: list[Any]) -> Any:  # noqa: ANN401  a dict, of the plugin's own type
        """Join items into one batch; ``{}`` for no items."""
        raise NotImplementedError

    def ordered_indices(self) -> IndexOrder:
        """Order in which items are cut into batches."""
        return np.arange(len(self), dtype=np.int64)

    def batch_by_size(
        self, indices: IndexOrder, batch_size: int | None = None, required_batch_size_multiple: int = 1
    ) -> Sequence[Indices]:
        """Cut ``indices`` into consecutive batches.

        Args:
            indices: order of the items.
            batch_size: items per batch, 1 where it is ``None``.
            required_batch_size_multiple: the batch size is rounded up to a multiple of this.
        """
        multiple = required_batch_size_multiple
        step = -(-(batch_size or 1) // multiple) * multiple
        return [indices[start : start + step] for start in range(0, len(indices), step)]

    def set_epoch(self, epoch: int) -> None:
        """Called with the epoch (from 1) before its first item is read."""

    @property
    def can_reuse_epoch_itr_across_epochs(self) -> bool:
        """Whether batches keep their items over epochs (only their order changes)."""
        return True

    @property
    def supports_prefetch(self) -> bool:
        """Whether :meth:`prefetch` does something."""
        return False

    def prefetch(self, indices: Sequence[int]) -> None:
        """Called with the items of the epoch before they are read."""

    @property
    def supports_fetch_outside_dataloader(self) -> bool:
        """Whether items may be read in the main process too."""
        return True
