"""Where a model knows molecules: the nearest one that it was trained on, and what is far from all of them.

Legend: n training molecules, M new molecules, W = 256 bytes of a fingerprint of 2048 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.identity.fingerprints import ECFP_BITS, ecfp4
from moleblend_plugin.schema import Float32Array, Float64Array
from moleblend_plugin.trust.conformal import conformal_rank

Packed = npt.NDArray[np.uint8]
"""Fingerprints [., W], eight bits to the byte."""

INSIDE: Final = 0.95
"""Share of molecules like those of training that count as inside of the domain."""

MOST: Final = 5000
"""Training molecules that are compared with all others, drawn at random; more make no better quantile."""

_NEW: Final = 1024
_KNOWN: Final = 4096
"""Molecules that are compared at a time: 16 MB and 32 MB of float32."""


class Neighbours(NamedTuple):
    """The nearest training molecule of each of M molecules.

    Attributes:
        similarity: float64 [M], Tanimoto's of ECFP4, 0 to 1; NaN where there is no molecule or neighbour.
        place: int64 [M], which of the n; the first of equal ones, -1 where there is none.
    """

    similarity: Float64Array
    place: npt.NDArray[np.int64]


def packed_ecfp4(smiles: Sequence[str]) -> Packed:
    """ECFP4 of 2048 bits (``chem.identity.fingerprints.ecfp4``) as bytes [n, W]; zeros if unreadable."""
    parts = [
        np.packbits(ecfp4(smiles[start : start + _KNOWN]).values, axis=1)
        for start in range(0, len(smiles), _KNOWN)
    ]
    return np.concatenate(parts) if parts else np.empty((0, ECFP_BITS // 8), np.uint8)


def nearest(
    new: Packed,
    known: Packed,
    new_groups: npt.NDArray[np.int64] | None = None,
    known_groups: npt.NDArray[np.int64] | None = None,
) -> Neighbours:
    """For each of M fingerprints the one of n that shares most with it, block by block.

    Bits in common are counted as a product of matrices: 20,000 against 10,000 take about 20 s of one core,
    and memory does not grow with either.

    Args:
        new: [M, W].
        known: [n, W].
        new_groups: int64 [M]; a molecule is not compared with those of its own group.
        known_groups: int64 [n].
    """
    found = Neighbours(np.full(len(new), np.nan), np.full(len(new), -1))
    for start in range(0, len(new), _NEW):
        rows = slice(start, start + _NEW)
        bits = _unpacked(new[rows])
        best, place = np.full(len(bits), -1.0), np.full(len(bits), -1)
        for first in range(0, len(known), _KNOWN):
            columns = slice(first, first + _KNOWN)
            similarity = _tanimoto(bits, _unpacked(known[columns]))
            if new_groups is not None and known_groups is not None:
                similarity[new_groups[rows, None] == known_groups[None, columns]] = -1.0
            here = similarity.argmax(1)
            value = similarity[np.arange(len(bits)), here]
            better = value > best
            best[better], place[better] = value[better], first + here[better]
        there = place >= 0
        found.similarity[rows][there], found.place[rows][there] = best[there], place[there]
    return found


def _unpacked(packed: Packed) -> Float32Array:
    return np.unpackbits(packed, axis=1).astype(np.float32)


def _tanimoto(one: Float32Array, other: Float32Array) -> Float64Array:
    """Bits in common over bits in either [., .]; float32 counts them exactly."""
    common = (one @ other.T).astype(np.float64)
    either = one.sum(1, dtype=np.float64)[:, None] + other.sum(1, dtype=np.float64) - common
    shared: Float64Array = common / np.maximum(either, 1.0)
    return shared


@dataclass(frozen=True)
class Domain:
    """The molecules that a model was trained on.

    Attributes:
        fingerprints: uint8 [n, W].
        rows: int64 [n], their rows in what was given to ``fit``, counted from 0.
        smiles: of them.
        threshold: a molecule whose nearest one is less similar than this is outside; NaN where there are too
            few molecules to say.
    """

    fingerprints: Packed
    rows: npt.NDArray[np.int64]
    smiles: tuple[str, ...]
    threshold: float

    @classmethod
    def of(cls, smiles: Sequence[str], rows: npt.ArrayLike, seed: int = 0) -> Domain:
        """The domain of training molecules, whose threshold they set themselves.

        Every one (of at most :data:`MOST`) looks for its nearest among the others: 5 % of them, rounded as
        conformal prediction rounds, are below the threshold. A new molecule like those of training falls
        outside with a probability of at most 5 %.
        """
        packed = packed_ecfp4(smiles)
        numbers = np.arange(len(packed))
        if len(packed) > MOST:
            numbers = np.sort(np.random.default_rng(seed).choice(numbers, MOST, replace=False))
        others = nearest(packed[numbers], packed, numbers, np.arange(len(packed)))
        return cls(packed, np.asarray(rows, np.int64), tuple(smiles), domain_threshold(others.similarity))

    def nearest(self, smiles: Sequence[str]) -> Neighbours:
        """The nearest training molecule of each; ``place`` is that among the n."""
        return nearest(packed_ecfp4(smiles), self.fingerprints)

    def is_outside(self, similarity: Float64Array) -> npt.NDArray[np.bool_]:
        """Which molecules [M] are outside; none where there is no threshold."""
        outside: npt.NDArray[np.bool_] = similarity < self.threshold
        return outside


def domain_threshold(similarity: npt.ArrayLike, inside: float = INSIDE) -> float:
    """The similarity that ``inside`` of molecules like these reach; NaN for fewer than 19 at 0.95.

    Args:
        similarity: [n], of each to the nearest of the others; NaN is left out.
        inside: their share.
    """
    values = np.asarray(similarity, np.float64)
    values = np.sort(values[~np.isnan(values)])[::-1]
    rank = conformal_rank(len(values), inside)
    return float(values[rank - 1]) if rank <= len(values) else np.nan
