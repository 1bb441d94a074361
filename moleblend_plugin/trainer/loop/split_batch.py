"""A batch in pieces, for what is too large as a whole. Any nesting of dicts with tensors along B splits.

B items of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

NestedBatch = dict[str, Any]


def rows_of(batch: NestedBatch) -> int:
    """B: the length of ``index``, else the first dimension of the first tensor; 0 where there is neither."""
    index = batch.get("index")
    if isinstance(index, Tensor | list):
        return len(index)
    return next(_first_dimensions(batch), 0)


def _first_dimensions(value: object) -> Iterator[int]:
    if isinstance(value, Tensor):
        if value.dim() > 0:
            yield value.shape[0]
    elif isinstance(value, dict):
        for item in value.values():
            yield from _first_dimensions(item)


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:  # noqa: ANN401  any nesting
    """``value`` with ``function`` of every tensor in its dicts, lists and tuples."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: map_tensors(item, function) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(item, function) for item in value)
    return value


def split_batch(batch: NestedBatch, count: int) -> list[NestedBatch]:
    """Cut a batch into pieces of (almost) equal size, in order.

    Tensors, arrays and lists of length B are cut; everything else belongs to every piece.

    Args:
        batch: a collated batch.
        count: how many pieces; no more than B come out.
    """
    rows = rows_of(batch)
    if count <= 1 or rows <= 1:
        return [batch]
    count = min(count, rows)
    edges = [rows * number // count for number in range(count + 1)]
    return [_slice(batch, rows, slice(*pair)) for pair in zip(edges, edges[1:], strict=False)]


def _slice(value: Any, rows: int, part: slice) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return type(value)((key, _slice(item, rows, part)) for key, item in value.items())
    if isinstance(value, Tensor | np.ndarray):
        return value[part] if value.ndim > 0 and value.shape[0] == rows else value
    if isinstance(value, list | tuple):
        return value[part] if len(value) == rows else value
    return value
