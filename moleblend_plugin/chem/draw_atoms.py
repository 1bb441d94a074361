"""A molecule with a coloured disc under every atom, as SVG for pages with a light and a dark theme."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from rdkit import rdBase
from rdkit.Chem.Draw import rdMolDraw2D

from moleblend_plugin.chem.atom_order import molecule_of
from moleblend_plugin.schema import MoleculeRecord

SIZE: Final = (320, 240)
"""Pixels of a drawing; the page may scale it."""

MORE, LESS = ("#d55e00", "#db6d28"), ("#0072b2", "#2f81f7")
"""Discs of the classes "more" and "less", on light and on dark pages: orange and blue, which people with any
colour vision tell apart; the outline of "less" is dashed."""

DASHES: Final = "3 2"

_FAINTEST: Final = 0.03
"""Share of the scale below which an atom gets no disc."""

_DISC: Final = 0.42
"""Radius of a disc, as a share of the median bond."""

_BOND: Final = 38.0
"""Pixels of a bond where there is room; large molecules are drawn smaller."""

_STRONGEST: Final = 0.75
"""Opacity of the strongest disc: letters on it must be read."""

_LARGEST_DISC: Final = 16.0
_BLACK: Final = re.compile("#000000")


def draw_atoms(record: MoleculeRecord, values: Sequence[float], scale: float, tips: Sequence[str]) -> str:
    """SVG of ``record``; an atom's disc has the class "more" or "less" by the sign of its value.

    Colours are the page's: lines and letters have that of its text, discs what its style says of the two
    classes, the fainter the smaller the value. Numbers of the atoms have the class "note".

    Args:
        record: the molecule.
        values: one per heavy atom, in the record's order.
        scale: absolute value, more than 0, from which on a disc is as strong as can be.
        tips: plain text that appears over each atom.

    Returns:
        "" where RDKit cannot draw the molecule.
    """
    mol = molecule_of(record)
    if mol is None:
        return ""
    canvas = rdMolDraw2D.MolDraw2DSVG(*SIZE, -1, -1, True)  # letters as text: a third of the size
    options: Any = canvas.drawOptions()
    options.clearBackground = False
    options.useBWAtomPalette()
    options.addAtomIndices = True
    options.annotationFontScale = 0.6
    options.padding = 0.08
    options.fixedBondLength = _BOND
    options.maxFontSize = 18
    with rdBase.BlockLogs():
        canvas.DrawMolecule(rdMolDraw2D.PrepareMolForDrawing(mol, addChiralHs=False))
    canvas.FinishDrawing()
    places = [canvas.GetDrawCoords(index) for index in range(len(values))]
    lengths = sorted(
        (places[bond.GetBeginAtomIdx()] - places[bond.GetEndAtomIdx()]).Length() for bond in mol.GetBonds()
    )
    radius = min(_LARGEST_DISC, _DISC * lengths[len(lengths) // 2]) if lengths else _LARGEST_DISC
    discs = []
    for place, value, tip in zip(places, values, tips, strict=True):
        strength = min(1.0, abs(value) / scale)
        kind = ("more" if value > 0 else "less") if strength >= _FAINTEST else "none"
        discs.append(
            f'<circle class="{kind}" cx="{place.x:.1f}" cy="{place.y:.1f}" r="{radius:.1f}" '
            f'fill-opacity="{_STRONGEST * strength:.2f}"><title>{escape(tip)}</title></circle>'
        )
    drawn = canvas.GetDrawingText()
    lines = _BLACK.sub("currentColor", drawn[drawn.index("<!-- END OF HEADER -->") :])
    lines = lines.partition("-->")[2].rpartition("</svg>")[0].strip()
    shape = f'viewBox="0 0 {SIZE[0]} {SIZE[1]}"'
    return f'<svg class="molecule" {shape} role="img">{"".join(discs)}<g class="lines">{lines}</g></svg>'
