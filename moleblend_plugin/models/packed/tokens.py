"""What a layer does to each token besides its matrix products, with gradients of its own.

S tokens, D width, F width of the feed-forward block; widths are multiples of ``LANES``. Draws of dropout
follow from torch's generator; they are drawn again for the gradients, not kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from moleblend_plugin.models.packed import token_loops
from moleblend_plugin.models.packed.places import Places, as_array, share_out
from moleblend_plugin.models.parts.products import gradient_of_input, gradient_of_weight, linear

_DRAWS = 1 << 32

Draws = tuple[int, np.uint32, np.float32]
"""Seed, how many of 2 ** 32 draws are dropped, and the scale of what is kept."""


def draws(dropout: float) -> Draws:
    """Of one use of dropout at this rate."""
    seed, dropped = int(torch.randint(1 << 62, ())) if dropout else 0, round(dropout * _DRAWS)
    return seed, np.uint32(dropped), np.float32(_DRAWS / (_DRAWS - dropped))


class _AddAndNorm(torch.autograd.Function):
    """``token_loops.add_and_normalize``."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        x: Tensor,
        branch: Tensor,
        weight: Tensor,
        shift: Tensor,
        epsilon: float,
        dropout: float,
        places: Places,
    ) -> Tensor:
        """[S, D]."""
        x, branch = x.contiguous(), branch.contiguous()
        out, normal, scales = torch.empty_like(x), torch.empty_like(x), x.new_empty(len(x))
        ctx.draws, ctx.places = draws(dropout), places
        given = (*map(as_array, (x, branch, weight, shift)), np.float32(epsilon), *ctx.draws)
        made = [as_array(part) for part in (out, normal, scales)]

        def work(_: int, first: int, last: int) -> None:
            token_loops.add_and_normalize(*given, *places.range_of_tokens(first, last), *made)

        share_out(places, work)
        ctx.save_for_backward(weight, normal, scales)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of the first four."""
        weight, normal, scales = ctx.saved_tensors
        places, dropped = ctx.places, bool(ctx.draws[1])
        by_x = torch.empty_like(normal)
        by_branch = torch.empty_like(normal) if dropped else normal.new_empty(0, len(weight))
        by_weight, by_shift = (normal.new_zeros(torch.get_num_threads(), len(weight)) for _ in range(2))
        made = [as_array(part) for part in (normal, scales, grad.contiguous(), by_x, by_branch)]

        def work(part: int, first: int, last: int) -> None:
            token_loops.add_and_normalize_backward(
                as_array(weight),
                *ctx.draws,
                *places.range_of_tokens(first, last),
                *made,
                as_array(by_weight[part]),
                as_array(by_shift[part]),
            )

        share_out(places, work)
        return by_x, by_branch if dropped else by_x, by_weight.sum(0), by_shift.sum(0), None, None, None


class _GeluLinear(torch.autograd.Function):
    """``token_loops.gelu`` and the product that follows; what the one gives the other is not kept."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        x: Tensor,
        weight: Tensor,
        shift: Tensor,
        dropout: float,
        places: Places,
    ) -> Tensor:
        """[S, D] from [S, F]."""
        x = x.contiguous()
        activated = torch.empty_like(x)
        ctx.draws, ctx.places = draws(dropout), places
        given, made = (as_array(x), *ctx.draws), as_array(activated)

        def work(_: int, first: int, last: int) -> None:
            token_loops.gelu(*given, *places.range_of_tokens(first, last), made)

        share_out(places, work)
        ctx.save_for_backward(x, weight)
        return linear(activated, weight, shift)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Gradients of the first three."""
        x, weight = ctx.saved_tensors
        by_activated, activated = gradient_of_input(grad, weight), torch.empty_like(x)
        given = (as_array(x), *ctx.draws)
        gradients = as_array(by_activated)  # those of x take the place of those that they are made of
        made = (gradients, gradients, as_array(activated))

        def work(_: int, first: int, last: int) -> None:
            token_loops.gelu_backward(*given, *ctx.places.range_of_tokens(first, last), *made)

        share_out(ctx.places, work)
        _, learns, shifts, *_ = ctx.needs_input_grad  # not where the layer is frozen
        by_weight = gradient_of_weight(grad, activated) if learns else None
        return by_activated, by_weight, grad.sum(0) if shifts else None, None, None


def add_and_norm(
    x: Tensor,
    branch: Tensor,
    weight: Tensor,
    shift: Tensor,
    epsilon: float,
    dropout: float,
    places: Places,
) -> Tensor:
    """LayerNorm(x + dropout(branch)): [S, D].

    Args:
        x: fp32 [S, D].
        branch: fp32 [S, D].
        weight: of the norm, fp32 [D].
        shift: its bias, fp32 [D].
        epsilon: added to the variance.
        dropout: rate.
        places: of the tokens.
    """
    out: Tensor = _AddAndNorm.apply(x, branch, weight, shift, epsilon, dropout, places)  # type: ignore[no-untyped-call]
    return out


def gelu_linear(x: Tensor, weight: Tensor, shift: Tensor, dropout: float, places: Places) -> Tensor:
    """``dropout(gelu(x)) @ weight.T + shift`` with the exact GELU: [S, D].

    Args:
        x: fp32 [S, F].
        weight: fp32 [D, F].
        shift: fp32 [D].
        dropout: rate.
        places: of the tokens.
    """
    out: Tensor = _GeluLinear.apply(x, weight, shift, dropout, places)  # type: ignore[no-untyped-call]
    return out
