"""Drawings of molecules: the image view of MMSA-style (reconstructed) pretraining, and grids for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rdkit import Chem, rdBase
from rdkit.Chem.Draw import rdMolDraw2D

from moleblend_plugin.chem.reading import from_smiles


def draw_png(smiles: str, size: int) -> bytes | None:
    """A drawing on white as PNG, ``size`` x ``size`` pixels; ``None`` where RDKit cannot draw the SMILES."""
    mol = _parsed(smiles)
    if mol is None or not mol.GetNumAtoms():
        return None
    canvas = rdMolDraw2D.MolDraw2DCairo(size, size)
    options: Any = canvas.drawOptions()
    options.bondLineWidth = max(1.0, size / 112)
    options.includeMetadata = False  # the molecule as text, a third of a small file
    with rdBase.BlockLogs():
        rdMolDraw2D.PrepareAndDrawMolecule(canvas, mol)
    canvas.FinishDrawing()
    png: bytes = canvas.GetDrawingText()
    return png


def draw_all(smiles: Sequence[str], size: int) -> list[bytes | None]:
    """:func:`draw_png` of every SMILES, for worker processes."""
    return [draw_png(text, size) for text in smiles]


def draw_grid(smiles: Sequence[str], labels: Sequence[str], columns: int, size: int = 220) -> bytes:
    """Molecules side by side with a label under each, as SVG; one that cannot be drawn stays blank."""
    mols = [_parsed(text) or Chem.Mol() for text in smiles]
    rows = -(-len(mols) // columns)
    canvas = rdMolDraw2D.MolDraw2DSVG(size * columns, size * rows, size, size)
    with rdBase.BlockLogs():
        canvas.DrawMolecules([_prepared(mol) for mol in mols], legends=list(labels))
    canvas.FinishDrawing()
    svg: str = canvas.GetDrawingText()
    return svg.encode()


def _parsed(smiles: str) -> Any:  # noqa: ANN401  RDKit has no types
    with rdBase.BlockLogs():
        return from_smiles(smiles)


def _prepared(mol: Any) -> Any:  # noqa: ANN401
    return rdMolDraw2D.PrepareMolForDrawing(mol) if mol.GetNumAtoms() else mol


def draw_svg(smiles: str, width: int, height: int, dark: bool = False) -> str | None:
    """A drawing as SVG without background, for light or dark pages; ``None`` where RDKit cannot draw it."""
    mol = _parsed(smiles)
    if mol is None or not mol.GetNumAtoms():
        return None
    canvas = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = canvas.drawOptions()
    if dark:
        rdMolDraw2D.SetDarkMode(options)
    options.clearBackground = False
    options.fixedBondLength = width / 8  # at most: small molecules look like large ones
    with rdBase.BlockLogs():
        rdMolDraw2D.PrepareAndDrawMolecule(canvas, mol)
    canvas.FinishDrawing()
    svg: str = canvas.GetDrawingText()
    return svg.replace("encoding='iso-8859-1'", "encoding='utf-8'", 1)  # as a server sends it
