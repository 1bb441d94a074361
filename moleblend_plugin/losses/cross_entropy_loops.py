"""Cross entropy of many rows, compiled for a CPU: rows that do not count are passed over.

R rows, C classes (``LANES`` at least), K of them with a share of a row's target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from moleblend_plugin.schema import Array
from moleblend_plugin.simd.threads import run_parts
from moleblend_plugin.simd.vectors import (
    FAST,
    LANES,
    exponentials,
    larger,
    largest,
    load,
    minus,
    muladd,
    plus,
    spread,
    store,
    times,
    total,
)

_ZERO = np.float32(0.0)


@njit(cache=True, nogil=True)
def _newly_read(across: int) -> Array:
    """1 in the lanes of a row's last vector that the vectors before it have not read, 0 in the others."""
    lanes = np.ones(LANES, np.float32)
    lanes[: (LANES - across % LANES) % LANES] = _ZERO
    return lanes


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def score_rows(
    logits: Array,  # fp32 [R * C]
    classes: Array,  # int64 [R, K]
    weights: Array,  # fp32 [R, K]
    across: int,
    first: int,
    last: int,
    most: Array,  # fp32 [R], zeros
    whole: Array,  # fp32 [R], ones
    picked: Array,  # fp32 [R], zeros
) -> int:
    """Rows ``first`` to ``last``: parts of their cross entropies; how many have their first class on top.

    -1 where a row that counts has a class outside of 0 to C - 1.

    Args:
        logits: of all rows.
        classes: with a share of the target.
        weights: of the classes.
        across: C.
        first: row.
        last: row, not included.
        most: receives the largest logits of rows that count.
        whole: receives their sums of exponentials, less the largest.
        picked: receives the weighted logits of their classes.
    """
    whole_vectors, end, hits = across // LANES * LANES, across - LANES, 0
    new = load(_newly_read(across), 0)
    for row in range(first, last):
        weight = _ZERO
        for k in range(weights.shape[1]):
            weight += weights[row, k]
        if weight == _ZERO:
            continue
        begin = row * across
        highest = load(logits, begin + end)
        for c in range(begin, begin + whole_vectors, LANES):
            highest = larger(highest, load(logits, c))
        top = largest(highest)
        highest, summed = spread(top), spread(_ZERO)
        for c in range(begin, begin + whole_vectors, LANES):
            summed = plus(summed, exponentials(minus(load(logits, c), highest)))
        if whole_vectors < across:
            summed = muladd(exponentials(minus(load(logits, begin + end), highest)), new, summed)
        most[row], whole[row] = top, total(summed)
        for k in range(weights.shape[1]):
            if classes[row, k] < 0 or classes[row, k] >= across:
                return -1
            if weights[row, k] != _ZERO:  # or infinite logits would count
                picked[row] += weights[row, k] * logits[begin + classes[row, k]]
        if logits[begin + classes[row, 0]] == top:
            place = begin
            while logits[place] != top:
                place += 1
            hits += place == begin + classes[row, 0]
    return hits


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def score_rows_backward(
    logits: Array,
    classes: Array,
    weights: Array,
    across: int,
    first: int,
    last: int,
    most: Array,
    whole: Array,
    grad: float,  # fp32
    by_logits: Array,  # fp32 [R * C]
) -> None:
    """Gradients of the logits: probabilities less the target, times the weights.

    Args:
        logits: as in :func:`score_rows`, as are all up to ``whole``.
        classes: with a share of the target.
        weights: of the classes.
        across: C.
        first: row.
        last: row, not included.
        most: what it gave.
        whole: what it gave.
        grad: gradient of the sum.
        by_logits: receives the gradients.
    """
    whole_vectors, end = across // LANES * LANES, across - LANES
    for row in range(first, last):
        begin, weight = row * across, _ZERO
        for k in range(weights.shape[1]):
            weight += weights[row, k]
        if weight == _ZERO:
            by_logits[begin : begin + across] = _ZERO
            continue
        highest, scale = spread(most[row]), spread(weight * grad / whole[row])
        for c in range(begin, begin + whole_vectors, LANES):
            store(by_logits, c, times(exponentials(minus(load(logits, c), highest)), scale))
        if whole_vectors < across:  # some numbers once more, which are the same
            share = times(exponentials(minus(load(logits, begin + end), highest)), scale)
            store(by_logits, begin + end, share)
        for k in range(weights.shape[1]):
            by_logits[begin + classes[row, k]] -= weights[row, k] * grad


class Loops(torch.autograd.Function):
    """The sum of cross entropies, and how many hits, by the loops above."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        logits: Tensor,
        classes: Tensor,
        weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Scalars in fp32 and int64, of fp32 [R, C], int64 [R, K] and fp32 [R, K]."""
        logits, (rows, across) = logits.contiguous(), logits.shape
        most, picked = logits.new_zeros(2, rows)
        whole = logits.new_ones(rows)
        given = [part.detach().numpy() for part in (logits.view(-1), classes, weights)]
        made = [part.numpy() for part in (most, whole, picked)]
        hits = run_parts(_ends(rows), lambda _, first, last: score_rows(*given, across, first, last, *made))
        if min(hits) < 0:
            raise IndexError(f"a target's class is outside of 0 to {across - 1}")
        ctx.save_for_backward(logits, classes, weights, most, whole)
        total = (weights.sum(-1) * (most + whole.log()) - picked).sum()
        found = torch.tensor(sum(hits))
        ctx.mark_non_differentiable(found)
        return total, found

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """Gradient of the logits."""
        logits, *others = ctx.saved_tensors
        by_logits, across = torch.empty_like(logits), logits.shape[1]
        flat, classes, weights, most, whole = (part.detach().numpy() for part in (logits.view(-1), *others))
        more = (most, whole, grad.float().numpy()[()], by_logits.view(-1).numpy())
        run_parts(
            _ends(len(logits)),
            lambda _, first, last: score_rows_backward(flat, classes, weights, across, first, last, *more),
        )
        return by_logits, None, None


def _ends(rows: int) -> list[int]:
    """Where the parts of rows end, one for each of torch's threads."""
    threads = torch.get_num_threads()
    return [rows * part // threads for part in range(threads + 1)]
