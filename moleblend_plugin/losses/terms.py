"""The pretraining terms: pure functions of predictions, targets and a mask (method 4).

Every term returns the scalar that is optimised (fp32) and the counts behind the logged scores. A term
without a single target is 0, never NaN. Nothing here waits for the device.

B molecules, N atoms, P path hops.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from moleblend_plugin.vocab import EDGE_CLASSES, SPD_CLASSES, EdgeClasses, SpdClasses


class Term(NamedTuple):
    """One loss term. ``score / counted`` is what is logged beside it."""

    loss: Tensor  # scalar
    score: Tensor  # scalar: correct classes, Angstrom, or cosines, summed
    counted: Tensor  # scalar: how many targets


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask``; 0 where it is nowhere."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def classes_of(codes: Tensor, keep: Tensor, classes: SpdClasses | EdgeClasses) -> Tensor:
    """Target classes int64 of batch codes; ``classes.ignored`` where there is none or not ``keep``."""
    return torch.where(keep, _class_table(classes, codes.device)[codes.int()], classes.ignored)


@lru_cache(maxsize=8)
def _class_table(classes: SpdClasses | EdgeClasses, device: torch.device) -> Tensor:
    """The look-up on its device, copied there once."""
    return torch.tensor(classes.table(), device=device)


def _classification(logits: Tensor, target: Tensor, ignored: int) -> Term:
    """Cross entropy summed, correct predictions, targets: of logits [..., C] and classes [...]."""
    flat, goal = logits.flatten(0, -2), target.flatten()
    counts = goal != ignored
    # Not torch's cross_entropy: on a GPU its sum is one block of threads that walks over all targets.
    log_p = flat.float().log_softmax(-1).gather(-1, torch.where(counts, goal, 0)[:, None])[:, 0]
    return Term(-torch.where(counts, log_p, 0.0).sum(), (flat.argmax(-1) == goal).sum(), counts.sum())


def spd_term(logits: Tensor, spd: Tensor, keep: Tensor) -> Term:
    """Cross entropy of the path length, mean over pairs; the score counts correct classes.

    Args:
        logits: [B, N, N, 11].
        spd: uint8 [B, N, N]; diagonal, padding and unreachable pairs have no class.
        keep: bool [B, N, N], pairs that count.
    """
    term = _classification(logits, classes_of(spd, keep, SPD_CLASSES), SPD_CLASSES.ignored)
    return term._replace(loss=term.loss / term.counted.clamp(min=1))


def edge_term(logits: Tensor, bond_path: Tensor, keep: Tensor) -> Term:
    """Cross entropy of the bonds on the path, mean over hops of all pairs; the score counts correct bonds.

    Args:
        logits: [B, N, N, P, 24].
        bond_path: uint8 [B, N, N, P]; missing hops and bonds outside the 24 classes are ignored.
        keep: bool [B, N, N], pairs that count.
    """
    target = classes_of(bond_path, keep[..., None], EDGE_CLASSES)
    term = _classification(logits, target, EDGE_CLASSES.ignored)
    return term._replace(loss=term.loss / term.counted.clamp(min=1))


def distance_term(logits: Tensor, coords: Tensor, keep: Tensor, largest: float) -> Term:
    """Cross entropy of binned distances, mean over pairs; the score sums absolute errors in Angstrom.

    A distance shares its target between the two nearest bin centres (linear interpolation), so that
    neighbouring bins are nearly right and the expected distance is unbiased (method 4a). Distances beyond
    the last centre count as the last centre.

    Args:
        logits: [B, N, N, bins]; bin centres are spread evenly over 0..``largest``.
        coords: clean coordinates fp32 [B, N, 3] in Angstrom.
        keep: bool [B, N, N], pairs that count; the diagonal never does.
        largest: centre of the last bin in Angstrom.
    """
    bins = logits.shape[-1]
    distance = (coords[:, None] - coords[:, :, None]).norm(dim=-1)
    keep = keep & ~torch.eye(keep.shape[-1], dtype=torch.bool, device=keep.device)
    position = (distance / largest * (bins - 1)).clamp(0, bins - 1)
    lower = position.floor().clamp(max=bins - 2)
    share = position - lower  # of the upper bin
    index = lower.long()[..., None]
    log_p = logits.float().log_softmax(-1)
    at_lower, at_upper = log_p.gather(-1, index)[..., 0], log_p.gather(-1, index + 1)[..., 0]
    loss = masked_mean(-((1 - share) * at_lower + share * at_upper), keep)
    error = (expected_distance(logits.detach(), largest) - distance).abs()
    return Term(loss, torch.where(keep, error, 0.0).sum(), keep.sum())


def expected_distance(logits: Tensor, largest: float) -> Tensor:
    """Mean distance [B, N, N] in Angstrom under the predicted bins [B, N, N, bins]."""
    centres = torch.linspace(0, largest, logits.shape[-1], device=logits.device)
    return logits.float().softmax(-1) @ centres


def direction_term(direction: Tensor, coords: Tensor, keep: Tensor) -> Term:
    """1 - cosine to ``pos[j] - pos[i]``, mean over a molecule's pairs, then over molecules (published).

    Args:
        direction: [B, N, N, 3].
        coords: clean coordinates fp32 [B, N, 3]; coincident atoms (the diagonal) have no direction.
        keep: bool [B, N, N], pairs that count.
    """
    target = coords[:, None, :, :] - coords[:, :, None, :]
    keep = keep & target.ne(0).any(-1)
    cosine = F.cosine_similarity(direction.float(), target, dim=-1)
    pairs = keep.sum((1, 2))  # [B]
    per_molecule = torch.where(keep, 1 - cosine, 0.0).sum((1, 2)) / pairs.clamp(min=1)
    score = torch.where(keep, cosine.detach(), 0.0).sum()
    return Term(masked_mean(per_molecule, pairs > 0), score, keep.sum())


def denoise_term(predicted: Tensor, noise: Tensor, keep: Tensor) -> Term:
    """1 - cosine to the coordinate noise, mean over atoms; the score sums cosines.

    Args:
        predicted: [B, N, 3].
        noise: fp32 [B, N, 3] in Angstrom; an atom that was not moved has no direction.
        keep: bool [B, N], atoms that count.
    """
    keep = keep & noise.ne(0).any(-1)
    cosine = F.cosine_similarity(predicted.float(), noise, dim=-1)
    score = torch.where(keep, cosine.detach(), 0.0).sum()
    return Term(masked_mean(1 - cosine, keep), score, keep.sum())
