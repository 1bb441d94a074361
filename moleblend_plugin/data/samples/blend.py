"""Blending: which relation each ordered pair shows, what each atom shows, and the coordinate noise.

Method 1 and 3 (Yu et al., ICLR 2024, section 3.2). Everything random about a training sample is
drawn here, from generators that are arguments; the model draws nothing but dropout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from moleblend_plugin.data.compiled import draw_shown, pick
from moleblend_plugin.data.rng import Purpose, passing_generator
from moleblend_plugin.data.samples.featurize import Features
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import (
    ATOMS_SHOWN,
    PAIRS_SHOWN,
    RELATIONS,
    Array,
    Float32Array,
    Float64Array,
    HeadFields,
    InputFields,
    InputMode,
    PropertyFields,
    Shown,
    TargetFields,
    UInt8Array,
    ViewFields,
)

BlendScope = Literal["molecule", "batch"]


class Sample(
    InputFields[Array],
    HeadFields[Array],
    TargetFields[Array],
    PropertyFields[Array],
    ViewFields[Array],
    total=False,
):
    """One molecule, ready to be padded: rows of the schema's tables without B, and its number."""

    index: npt.NDArray[np.int64]


_PAIR_CODES = np.array([row.shown for row in RELATIONS], np.uint8)
_PAIRS_NEED_3D = tuple(row.needs_3d for row in RELATIONS)
_ATOM_CODES = np.array([Shown.SPD, Shown.DISTANCE], np.uint8)
_ATOMS_NEED_3D = (False, True)
# Not enumerations, which NumPy takes apart anew for every molecule.
_ALL_PAIRS = {mode: np.uint8(shown) for mode, shown in PAIRS_SHOWN.items()}
_ALL_ATOMS = {mode: np.uint8(shown) for mode, shown in ATOMS_SHOWN.items()}


@dataclass(frozen=True, slots=True)
class BlendConfig:
    """How samples are blended. Defaults are the published ones, but for ``blend_scope``.

    Attributes:
        relation_probs: probability that a pair shows {relations}. One or two may be 0 (ablations).
        atom_probs: probability that an atom shows its degree embedding, its 3D summary.
        noise_sigma: standard deviation of the coordinate noise in Angstrom.
        blend_scope: "molecule" draws pairs per molecule; "batch" draws one mask for the whole batch
            as the published code does (then a sample depends on its batch).
        whole_share: share of molecules that are not blended in an epoch but show all that fine-tuning shows
            (2D, or 2D and 3D at even odds where there is 3D), without noise: graph-level terms learn from
            them, and the others, which would only copy, leave them out.

    Raises:
        MoleblendError: probabilities that are negative or do not sum to 1, negative noise.
    """

    relation_probs: tuple[float, ...] = tuple(row.share for row in RELATIONS)
    atom_probs: tuple[float, float] = (0.4, 0.6)
    noise_sigma: float = 0.2
    blend_scope: BlendScope = "molecule"
    whole_share: float = 0.0

    def __post_init__(self) -> None:
        for flag, probs, size in (
            ("--relation-probs", self.relation_probs, len(RELATIONS)),
            ("--atom-probs", self.atom_probs, 2),
        ):
            shown = ",".join(f"{p:g}" for p in probs)
            if len(probs) != size or any(not p >= 0 for p in probs):
                raise MoleblendError(f"{flag} {shown}: give {size} probabilities, none below 0")
            if not math.isclose(sum(probs), 1.0, abs_tol=1e-6):
                raise MoleblendError(f"{flag} {shown}: they sum to {sum(probs):g}; make them sum to 1")
        if not (math.isfinite(self.noise_sigma) and self.noise_sigma >= 0):
            raise MoleblendError(f"--noise-sigma {self.noise_sigma:g}: give a value of 0 or more (Angstrom)")
        if self.blend_scope not in ("molecule", "batch"):
            raise MoleblendError(f"--blend-scope {self.blend_scope}: choose molecule or batch")
        if not 0 <= self.whole_share <= 1:
            raise MoleblendError(f"--whole-share {self.whole_share:g}: give a share from 0 to 1")


BlendConfig.__doc__ = str(BlendConfig.__doc__).format(relations=", ".join(row.word for row in RELATIONS))


@lru_cache(maxsize=8)
def _bounds(probs: tuple[float, ...], need_3d: tuple[bool, ...], has_3d: bool) -> Float64Array:
    """Upper ends of the intervals of [0, 1) that choose each code; ``need_3d`` marks the 3D sides.

    A molecule without 3D chooses among its 2D sides, in their proportions; where those have no
    probability at all there is no interval, and it shows nothing.
    """
    weights = np.array(probs, np.float64)
    if not has_3d:
        weights[np.array(need_3d)] = 0.0
    if not weights.any():
        return np.empty(0, np.float64)
    bounds: Float64Array = np.cumsum(weights / weights.sum())
    bounds[np.flatnonzero(weights)[-1] :] = 1.0  # rounding must not open a gap at the top
    return bounds


def choose_pairs(uniform: Float32Array, config: BlendConfig, has_3d: bool) -> UInt8Array:
    """``pair_shown`` [N, N] from uniform draws [N, N]: the multinomial of method 1."""
    chosen = np.empty(uniform.shape, np.uint8)
    bounds = _bounds(config.relation_probs, _PAIRS_NEED_3D, has_3d)
    pick(uniform.reshape(-1), bounds, _PAIR_CODES, chosen.reshape(-1))
    return chosen


def blend(features: Features, config: BlendConfig, seed: int, epoch: int, index: int) -> Sample:
    """One pretraining sample: the blended relations, the noisy coordinates and the targets.

    The result depends on the arguments alone, so an item is the same for any number of workers, any
    rank and any batch size, and differs from epoch to epoch.
    """
    n_atoms, clean = features.n_atoms, features.coords
    has_3d = clean is not None
    if config.whole_share:
        chance, odds = passing_generator(seed, epoch, index, Purpose.WHOLE).random(2)
        if chance < config.whole_share:
            return _whole(features, "both" if odds < 0.5 else "2d")
    pair_shown, atom_shown = np.empty((n_atoms, n_atoms), np.uint8), np.empty(n_atoms, np.uint8)
    draw_shown(
        seed,
        epoch,
        index,
        _bounds(config.relation_probs, _PAIRS_NEED_3D, has_3d),
        _PAIR_CODES,
        _bounds(config.atom_probs, _ATOMS_NEED_3D, has_3d),
        _ATOM_CODES,
        pair_shown,
        atom_shown,
    )
    if clean is None:
        clean = noise = np.zeros((n_atoms, 3), np.float32)
    else:
        noise = passing_generator(seed, epoch, index, Purpose.NOISE).standard_normal((n_atoms, 3), np.float32)
        noise *= np.float32(config.noise_sigma)
    return {
        **_sample(features, clean + noise, pair_shown, atom_shown),
        "clean_coords": clean,
        "noise": noise,
        "has_coords": np.array(has_3d),
    }


def _whole(features: Features, input_mode: InputMode) -> Sample:
    """A pretraining sample that is not blended: clean coordinates, no noise to predict."""
    zeros = np.zeros((features.n_atoms, 3), np.float32)
    return {
        **unblended(features, input_mode),
        "clean_coords": zeros if features.coords is None else features.coords,
        "noise": zeros,
        "has_coords": np.array(features.coords is not None),
    }


def unblended(features: Features, input_mode: InputMode) -> Sample:
    """The network's input without noise: every pair and atom shows all that ``input_mode`` lets it.

    A molecule without 3D shows its 2D relations in any mode.
    """
    n_atoms, coords = features.n_atoms, features.coords
    mode = input_mode if coords is not None else "2d"
    seen = coords if coords is not None and mode != "2d" else np.zeros((n_atoms, 3), np.float32)
    pair_shown = np.full((n_atoms, n_atoms), _ALL_PAIRS[mode])
    return _sample(features, seen, pair_shown, np.full(n_atoms, _ALL_ATOMS[mode]))


def _sample(
    features: Features, coords: Float32Array, pair_shown: UInt8Array, atom_shown: UInt8Array
) -> Sample:
    return {
        "atom_codes": features.atom_codes,
        "degree": features.degree,
        "spd": features.spd,
        "bond_path": features.bond_path,
        "coords": coords,
        "pair_shown": pair_shown,
        "atom_shown": atom_shown,
    }
