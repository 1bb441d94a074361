"""The nine features of an atom as one vector. B molecules, N atoms, D width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moleblend_plugin.vocab import ATOM_OFFSETS, ATOM_ROWS


class AtomTable(nn.Module):
    """Sum of the embeddings of OGB's nine features; below every network that reads atoms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Embedding(ATOM_ROWS, width, padding_idx=0)
        self.register_buffer("_offsets", torch.tensor(ATOM_OFFSETS, dtype=torch.int32), persistent=False)
        self._offsets: Tensor

    def forward(self, atom_codes: Tensor) -> Tensor:
        """[B, N, D] from codes uint8 [B, N, 9]."""
        code = atom_codes.int()
        embedded: Tensor = self.features(torch.where(code > 0, code + self._offsets, 0)).sum(2)
        return embedded
