"""How a conformer is made: the words that every command and estimator takes.

====================  ==================================  ====================================
method                ``full``                            ``fast``
====================  ==================================  ====================================
embedded              all atoms, ETKDGv3                  heavy atoms, KDG
hydrogens             embedded too                        set where the heavy atoms leave room
relaxed with MMFF94   to the minimum (1,000 steps)        100 steps
====================  ==================================  ====================================

KDG is ETKDG without the torsion angles of crystal structures (Riniker and Landrum 2015,
doi:10.1021/acs.jcim.5b00654): these take a third of an embedding without hydrogens, and relaxing moves them.
Distance geometry and its minimisations grow with the square of the atoms, half of which are hydrogens. What
this means for geometries and scores is measured in ``docs/speed_tables.md``. What MMFF94 cannot relax is
embedded as with ``full``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from moleblend_plugin.errors import MoleblendError

DEFAULT_METHOD: Final = "full"


class ConformerMethod(NamedTuple):
    """How one conformer is made.

    Attributes:
        embedding: RDKit's parameters, by name.
        embeds_hydrogens: whether hydrogens are embedded with the heavy atoms, or set afterwards.
        relax_steps: MMFF94 steps at most, unless others are asked for.
        to_minimum: whether relaxing is meant to reach the minimum, so that records say where it does not.
    """

    embedding: str
    embeds_hydrogens: bool
    relax_steps: int
    to_minimum: bool


METHODS: Final = {
    DEFAULT_METHOD: ConformerMethod("ETKDGv3", embeds_hydrogens=True, relax_steps=1000, to_minimum=True),
    "fast": ConformerMethod("KDG", embeds_hydrogens=False, relax_steps=100, to_minimum=False),
}


def find_method(name: str) -> ConformerMethod:
    """The method of that name.

    Raises:
        MoleblendError: there is none.
    """
    method = METHODS.get(name)
    if method is None:
        raise MoleblendError(f"--conformer-method {name}: choose from {', '.join(METHODS)}")
    return method
