"""What distances add to attention and to atoms, without padding, with gradients of its own.

A atoms of all molecules, P ordered pairs of them, H heads, K Gaussian kernels, U rows of a table of biases.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from moleblend_plugin.models.packed import distance_loops, gaussian_loops
from moleblend_plugin.models.packed.places import Places, as_array, share_out
from moleblend_plugin.simd.vectors import LANES


class Kernels(NamedTuple):
    """Gaussian kernels, each ``exp(log_height - (slope x + shift)^2)``, fp32 [K]."""

    slope: Tensor
    shift: Tensor
    log_height: Tensor


class _FeatureSums(torch.autograd.Function):
    """``gaussian_loops.feature_sums``."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        scales: Tensor,
        slope: Tensor,
        shift: Tensor,
        log_height: Tensor,
        coords: Tensor,
        seen: Tensor,
        places: Places,
    ) -> Tensor:
        """[A, K]."""
        height = log_height.exp()
        ctx.save_for_backward(coords, scales, seen, slope, shift, height)
        ctx.places = places
        sums = torch.zeros(len(coords), len(slope))
        given = [as_array(part) for part in (coords, scales, places.atom_starts, seen, slope, shift, height)]
        share_out(
            places, lambda _, first, last: gaussian_loops.feature_sums(*given, first, last, as_array(sums))
        )
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of the first four."""
        coords, scales, seen, slope, shift, height = ctx.saved_tensors
        places = ctx.places
        by_scales = torch.zeros_like(scales)
        by_kernels = torch.zeros(torch.get_num_threads(), 3, len(slope))
        given = [as_array(part) for part in (coords, scales, places.atom_starts, seen, slope, shift, height)]
        by_sums, made = as_array(grad.contiguous()), as_array(by_scales)

        def work(part: int, first: int, last: int) -> None:
            gaussian_loops.feature_sums_backward(
                *given, first, last, by_sums, made, as_array(by_kernels[part])
            )

        share_out(places, work)
        return by_scales, *by_kernels.sum(0).unbind(0), None, None, None


def feature_sums(places: Places, coords: Tensor, scales: Tensor, kernels: Kernels, seen: Tensor) -> Tensor:
    """Gaussian features of an atom's distances, summed over its molecule: fp32 [A, K].

    Args:
        places: of the batch.
        coords: fp32 [A, 3] in Angstrom.
        scales: fp32 [A, 4], what an atom adds to a distance's scale (as first, as second) and shift.
        kernels: the Gaussians.
        seen: uint8 [A], atoms that have them; the rows of others are 0.
    """
    sums: Tensor = _FeatureSums.apply(scales, *kernels, coords, seen, places)  # type: ignore[no-untyped-call]
    return sums


class _DistanceBiases(torch.autograd.Function):
    """``distance_loops.pair_biases``."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        table: Tensor,
        scales: Tensor,
        slope: Tensor,
        shift: Tensor,
        log_height: Tensor,
        inside: Tensor,
        inside_bias: Tensor,
        outside: Tensor,
        outside_bias: Tensor,
        coords: Tensor,
        seen: Tensor,
        codes: Tensor,
        places: Places,
    ) -> Tensor:
        """[H, P]."""
        height = log_height.exp()
        ctx.save_for_backward(
            coords, scales, seen, codes, slope, shift, height, inside, inside_bias, outside, table
        )
        ctx.places = places
        biases = torch.empty(len(outside), places.pairs)
        parts = (
            coords,
            scales,
            places.atom_starts,
            places.pair_starts,
            seen,
            codes,
            table,
            slope,
            shift,
            height,
        )
        weights = (inside.flatten(), inside_bias, outside.flatten(), outside_bias)
        given = [as_array(part) for part in (*parts, *weights)]
        share_out(
            places, lambda _, first, last: distance_loops.pair_biases(*given, first, last, as_array(biases))
        )
        return biases

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of the first nine."""
        coords, scales, seen, codes, slope, shift, height, inside, inside_bias, outside, table = (
            ctx.saved_tensors
        )
        places, (across, kernels), heads = ctx.places, inside.shape, len(outside)
        wide, tall = -(-kernels // LANES) * LANES, -(-across // LANES) * LANES
        sizes = (
            table.shape,
            scales.shape,
            (3, kernels),
            (across * wide,),
            (across,),
            (heads * tall,),
            (heads,),
        )
        sums = [torch.zeros(torch.get_num_threads(), *size) for size in sizes]
        parts = (coords, scales, places.atom_starts, places.pair_starts, seen, codes, slope, shift, height)
        given = [as_array(part) for part in (*parts, inside.flatten(), inside_bias, outside.flatten())]
        by_biases = as_array(grad.contiguous())

        def work(part: int, first: int, last: int) -> None:
            made = [as_array(each[part]) for each in sums]
            distance_loops.pair_biases_backward(*given, first, last, by_biases, *made)

        share_out(places, work)
        by_table, by_scales, by_kernels, by_inside, by_inside_bias, by_outside, by_outside_bias = (
            each.sum(0) for each in sums
        )
        by_inside = by_inside.view(across, wide)[:, :kernels]
        by_outside = by_outside.view(heads, tall)[:, :across]
        weights = (by_inside, by_inside_bias, by_outside, by_outside_bias)
        return by_table, by_scales, *by_kernels.unbind(0), *weights, None, None, None, None


def distance_biases(
    places: Places,
    coords: Tensor,
    scales: Tensor,
    kernels: Kernels,
    hidden: torch.nn.Linear,
    out: torch.nn.Linear,
    seen: Tensor,
    codes: Tensor,
    table: Tensor,
) -> Tensor:
    """Biases of pairs, fp32 [H, P]: a row of the table, and that of the distance where it is seen.

    Args:
        places: of the batch.
        coords: fp32 [A, 3] in Angstrom.
        scales: as in :func:`feature_sums`.
        kernels: the Gaussians.
        hidden: from their K features to hidden ones.
        out: from those, after gelu, to H.
        seen: uint8 [P], pairs that show their distance.
        codes: int32 [P], rows of ``table``.
        table: fp32 [H, U].
    """
    weights = [part.float() for part in (hidden.weight, hidden.bias, out.weight, out.bias)]
    given = (table, scales, *kernels, *weights, coords, seen, codes, places)
    biases: Tensor = _DistanceBiases.apply(*given)  # type: ignore[no-untyped-call]
    return biases
