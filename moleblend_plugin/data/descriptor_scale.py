"""Raw descriptors -> numbers that a network learns or reads: winsorised, standardised, clipped.

M molecules, F descriptors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float32Array, Float64Array

_TAIL: Final = 0.001
"""Share of molecules at either end whose values count as the quantile there."""

_CLIP: Final = 8.0
"""Standard deviations beyond which values are cut: a group that few molecules have stays a signal."""

_DIGITS: Final = 7
"""Significant digits that are kept: raw values are float32."""


@dataclass(frozen=True, slots=True, eq=False)
class DescriptorScale:
    """The transform of F descriptors, fitted on training molecules.

    Attributes:
        names: of the descriptors, F.
        toolkit: what computed them, such as "RDKit 2026.09.1".
        low: quantile that lower values are raised to, float64 [F].
        high: quantile that higher values are lowered to.
        mean: of the values between.
        std: their standard deviation; 0 where all are equal or missing, which leaves nothing to learn.
    """

    names: tuple[str, ...]
    toolkit: str
    low: Float64Array
    high: Float64Array
    mean: Float64Array
    std: Float64Array

    @classmethod
    def fit(cls, values: Float32Array | Float64Array, names: Sequence[str], toolkit: str) -> DescriptorScale:
        """The transform that gives ``values`` [M, F] mean 0 and standard deviation 1, without their NaN."""
        columns = [_fit_column(column[np.isfinite(column)]) for column in values.astype(np.float64).T]
        low, high, mean, std = np.array(columns, np.float64).reshape(-1, 4).T
        return cls(tuple(names), toolkit, low, high, mean, std)

    def __call__(self, values: Float32Array | Float64Array) -> Float32Array:
        """Scaled values float32 [..., F]; NaN where one is missing or all are equal in training."""
        std = np.where(self.std > 0, self.std, np.nan)
        given: Float64Array = np.asarray(values, np.float64)
        scaled = (np.clip(given, self.low, self.high) - self.mean) / std
        return np.clip(scaled, -_CLIP, _CLIP).astype(np.float32)

    def targets(self, values: Float32Array | None) -> Float32Array:
        """Scaled values [F] of one molecule; all NaN for one without descriptors."""
        return np.full(len(self.names), np.nan, np.float32) if values is None else self(values)

    def to_plain(self) -> dict[str, Any]:
        """Plain values, as metadata and checkpoints keep them."""
        numbers = {name: getattr(self, name).tolist() for name in ("low", "high", "mean", "std")}
        return {"names": list(self.names), "toolkit": self.toolkit, "transform": numbers}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> DescriptorScale:
        """Read back.

        Raises:
            MoleblendError: it is damaged.
        """
        try:
            names, numbers = tuple(map(str, plain["names"])), plain["transform"]
            arrays = [np.array(numbers[name], np.float64) for name in ("low", "high", "mean", "std")]
            if any(array.shape != (len(names),) for array in arrays):
                raise ValueError("not a number for every name")
            return cls(names, str(plain["toolkit"]), *arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise MoleblendError(
                f"the transform of descriptors is damaged ({error}); build the store again with --descriptors"
            ) from error


def _fit_column(values: Float64Array) -> tuple[float, float, float, float]:
    """Low, high, mean, standard deviation of one descriptor."""
    if not len(values):
        return 0.0, 0.0, 0.0, 0.0
    low, high = np.quantile(values, (_TAIL, 1 - _TAIL), method="nearest")
    if low == high:  # rarer than the tail: its extremes are all that it says
        low, high = values.min(), values.max()
    cut = np.clip(values, low, high)
    mean, std = cut.mean(), cut.std()
    # Rounding of equal values is no spread.
    std = std if std > 1e-6 * max(1.0, abs(mean)) else 0.0
    return tuple(float(f"{number:.{_DIGITS}g}") for number in (low, high, mean, std))  # type: ignore[return-value]
