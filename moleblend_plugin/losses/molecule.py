"""Terms of a whole molecule in pretraining (ours): its descriptors and its ECFP4.

B molecules, F descriptors, E bits of ECFP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moleblend_plugin.losses.term_table import Term, masked_mean

if TYPE_CHECKING:
    from torch import Tensor


def descriptor_term(predicted: Tensor, target: Tensor) -> Term:
    """Smooth L1 of scaled descriptors, mean over those that there are; the score sums absolute errors.

    Args:
        predicted: [B, F].
        target: fp32 [B, F] in standard deviations, NaN where a molecule lacks one: values are left out one by
            one, never a molecule.
    """
    from torch.nn import functional as F

    there = target.isfinite()
    wanted = target.where(there, 0.0)
    values = predicted.float()
    error = (values.detach() - wanted).abs().where(there, 0.0)
    return Term(
        masked_mean(F.smooth_l1_loss(values, wanted, reduction="none"), there), error.sum(), there.sum()
    )


def ecfp_term(logits: Tensor, counts: Tensor) -> Term:
    """Cross entropy of the environments that molecules have, summed over bits, per set bit.

    Most bits are not set and nearly free, so a mean over all would hide what is learned. The score counts
    set bits that are found.

    Args:
        logits: [B, E].
        counts: uint8 [B, E].
    """
    from torch.nn import functional as F

    there = counts.gt(0)
    values = logits.float()
    loss = F.binary_cross_entropy_with_logits(values, there.float(), reduction="sum")
    found = (values.detach().gt(0) & there).sum()
    return Term(loss / there.sum().clamp(min=1), found, there.sum())
