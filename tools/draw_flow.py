"""Draws docs/flow.svg, the README's picture: python tools/draw_flow.py.

All text stands on filled boxes and the arrows are mid-grey, so that it reads on light and dark pages.
"""

from __future__ import annotations

import random
from pathlib import Path
from xml.sax.saxutils import escape

INK, SOFT, ARROW = "#1f2328", "#3d444d", "#848d97"
BOX = "#eef1f4"
RELATIONS = {"path length": "#6ea8fe", "bonds on the path": "#f2b84b", "3D distance": "#63c29a"}
ATOMS = 6
TOP, HEIGHT = 12, 178


def text(x: float, y: float, content: str, *, size: int = 13, fill: str = SOFT, weight: int = 400) -> str:
    """A line of text, centred on x."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="middle">{escape(content)}</text>'
    )


def box(x: float, y: float, width: float, height: float, fill: str = BOX) -> str:
    """A rounded box."""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{fill}"/>'


def arrow(x: float, y: float) -> str:
    """A short arrow to the right that starts at x."""
    return f'<path d="M{x} {y}h18m-7 -6l7 6l-7 6" fill="none" stroke="{ARROW}" stroke-width="2.5"/>'


def stage(x: float, width: float, room: str, title: str, lines: tuple[str, ...]) -> str:
    """A box of the flow: what happens, in which folder of the package."""
    middle = x + width / 2
    parts = [box(x, TOP, width, HEIGHT), text(middle, TOP + 28, title, size=16, fill=INK, weight=600)]
    parts += [text(middle, TOP + 60 + 22 * number, line) for number, line in enumerate(lines)]
    parts.append(text(middle, TOP + HEIGHT - 14, room, size=12))
    return "".join(parts)


def matrix(x: float, y: float, cell: float, colours: list[str]) -> str:
    """An atoms x atoms matrix of coloured cells."""
    return "".join(
        f'<rect x="{x + cell * (n % ATOMS):g}" y="{y + cell * (n // ATOMS):g}" '
        f'width="{0.9 * cell:g}" height="{0.9 * cell:g}" rx="{cell / 10:g}" fill="{colour}"/>'
        for n, colour in enumerate(colours)
    )


def blending(x: float, width: float) -> str:
    """Three relation matrices and the one that is shown: every pair shows one relation."""
    generator = random.Random(7)
    shown = generator.choices(list(RELATIONS.values()), weights=(2, 2, 6), k=ATOMS * ATOMS)
    parts = [stage(x, width, "data/", "blend: one relation per pair", ())]
    for number, (name, colour) in enumerate(RELATIONS.items()):
        y = TOP + 44 + 38 * number
        parts.append(matrix(x + 14, y, 5.5, [colour] * ATOMS * ATOMS))
        parts.append(text(x + 112, y + 21, name))
    parts.append(arrow(x + 178, TOP + 96))
    parts.append(matrix(x + 206, TOP + 48, 16, shown))
    return "".join(parts)


def recovered(x: float, width: float) -> str:
    """What the heads predict, in the colours of the relations."""
    parts = [stage(x, width, "models/, losses/", "recover all", ())]
    targets = {**RELATIONS, "noise on the atoms": "#d59be0"}
    for number, (name, colour) in enumerate(targets.items()):
        y = TOP + 42 + 28 * number
        parts.append(f'<rect x="{x + 14}" y="{y}" width="{width - 28}" height="23" rx="6" fill="{colour}"/>')
        parts.append(text(x + width / 2, y + 16, name, fill=INK))
    return "".join(parts)


def flow() -> str:
    """The whole picture as SVG text."""
    middle = TOP + HEIGHT / 2
    stages = [
        stage(0, 128, "chem/", "molecules", ("SMILES, CSV,", "SDF, with or", "without 3D")),
        arrow(132, middle),
        stage(154, 128, "data/store", "store", ("moleblend build:", "codes, bonds,", "coordinates")),
        arrow(286, middle),
        blending(308, 316),
        arrow(628, middle),
        stage(650, 128, "models/", "encoder", ("Transformer,", "one bias for", "every pair")),
        arrow(782, middle),
        recovered(804, 176),
        box(308, TOP + HEIGHT + 14, 672, 46),
        text(
            644, TOP + HEIGHT + 34, "unicore-train DATA --user-dir moleblend_plugin ...", fill=INK, weight=600
        ),
        text(
            644,
            TOP + HEIGHT + 51,
            "runs in Uni-Core where it is installed, in the embedded trainer elsewhere (tasks/, trainer/)",
        ),
    ]
    height = TOP + HEIGHT + 72
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 {height}" width="980" height="{height}" '
        'font-family="-apple-system, Segoe UI, Helvetica, Arial, sans-serif" role="img">'
        "<title>From a file of molecules to a pretrained model</title>" + "\n".join(stages) + "</svg>\n"
    )


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[1] / "docs" / "flow.svg"
    target.write_text(flow(), encoding="utf-8")
    print(f"wrote {target}")
