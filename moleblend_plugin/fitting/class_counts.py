"""Whether every class has molecules enough to be learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import write_name
from moleblend_plugin.schema import Float64Array


def check_two(labels: Float64Array, names: Sequence[str]) -> None:
    """Refuse columns [n, T] of two classes in which one has fewer than two molecules (``MoleblendError``)."""
    for name, column in zip(names, labels.T, strict=True):
        known = column[~np.isnan(column)]
        for value in (0, 1):
            if (count := np.count_nonzero(known == value)) < 2:
                raise MoleblendError(
                    f"column {write_name(name)} has {count} molecules of class {value} among {len(known):,}: "
                    "both classes need two or more"
                )


def check_several(labels: Float64Array, name: str, classes: Sequence[str]) -> str:
    """How many molecules each of several classes has.

    Raises:
        MoleblendError: one has fewer than two.
    """
    counts = [int(np.count_nonzero(labels == place)) for place in range(len(classes))]
    for word, count in zip(classes, counts, strict=True):
        if count < 2:
            raise MoleblendError(
                f"column {write_name(name)} has {count} molecule{'s' * (count != 1)} of class {word!r}; "
                "every class needs two or more: join it to another class, or leave it out by --missing-label "
                f"{word!r}"
            )
    told = ", ".join(f"{word} {count:,}" for word, count in zip(classes, counts, strict=True))
    return f"molecules by class: {told}"
