"""The page: every molecule with its atoms coloured by what they add, the numbers one click away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

import numpy as np

from moleblend_plugin.chem.draw_atoms import DASHES, LESS, MORE, draw_atoms
from moleblend_plugin.chem.elements import symbols_of
from moleblend_plugin.explain.explainer import Explainer, Explanation, Method
from moleblend_plugin.explain.gradients import TOLERANCE
from moleblend_plugin.inference.input_rows import InputRow
from moleblend_plugin.report.page import html_page, html_table

STYLE: Final = (
    f"""
:root {{ --more: {MORE[0]}; --less: {LESS[0]}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --more: {MORE[1]}; --less: {LESS[1]}; }} }}
.less {{ stroke-dasharray: {DASHES}; }}
"""
    + """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem;
         align-items: start; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .8rem; min-width: 0; }
.card h3 { margin: 0; font-size: 1rem; overflow-wrap: anywhere; }
.card small { overflow-wrap: anywhere; }
figure { margin: .6rem 0 0; }
figcaption { font-variant-numeric: tabular-nums; }
svg.molecule { width: 100%; height: auto; color: var(--ink); }
svg.molecule .lines { pointer-events: none; }
svg.molecule .note { display: none; fill: var(--ink) !important; }
.card:has(details[open]) svg.molecule .note { display: inline; }
.more { fill: var(--more); stroke: var(--more); }
.less { fill: var(--less); stroke: var(--less); }
circle.none { fill: transparent; }
.bar { display: flex; align-items: center; gap: .6rem; margin: .3rem 0; flex-wrap: wrap; }
.bar i { display: inline-block; width: min(14rem, 50vw); height: .9rem; border: 1px solid var(--line);
         border-radius: 4px; background: linear-gradient(90deg,
         color-mix(in srgb, var(--less) 75%, transparent), transparent,
         color-mix(in srgb, var(--more) 75%, transparent)); }
details { margin-top: .5rem; }
summary { cursor: pointer; color: var(--soft); }
details table { margin: .4rem 0; font-size: .9rem; }
details th { white-space: normal; }
"""
)

HOW: Final[dict[Method, str]] = {
    "occlusion": (
        "Occlusion: the prediction less the prediction with the atom and its relations masked. Contributions "
        "of single atoms need not sum to anything."
    ),
    "integrated-gradients": (
        "Integrated gradients from the masked molecule, all of whose atoms and relations are masked: "
        "contributions sum to the prediction less that of the masked molecule."
    ),
}

_TYPICAL: Final = 0.9
"""Share of the molecules whose strongest atom is within the colour scale."""


class Page:
    """Rows are added, and in the end there is a page.

    Args:
        explainer: what explains them.
        header: names of the input's columns.
        model: its name.
        most_drawn: molecules that are drawn.
    """

    def __init__(self, explainer: Explainer, header: Sequence[str], model: str, most_drawn: int) -> None:
        self._explainer = explainer
        self._header = header
        self._model = model
        self._most = most_drawn
        self._drawn: list[tuple[InputRow, Explanation]] = []
        self._further = 0
        self._rejected: list[tuple[InputRow, str]] = []

    def add(self, row: InputRow, found: Explanation | None, reason: str) -> None:
        """Take a row; without an explanation it has a reason."""
        if found is None:
            self._rejected.append((row, reason))
        elif len(self._drawn) < self._most:
            self._drawn.append((row, found))
        else:
            self._further += 1

    def html(self) -> str:
        """The page, which needs no other file."""
        count, targets = len(self._drawn), ", ".join(self._explainer.targets)
        intro = f"{self._model}: {targets}. {count:,} molecules drawn"
        intro += f", {self._further:,} more in the numbers only" if self._further else ""
        intro += f", {len(self._rejected):,} rows without a prediction." if self._rejected else "."
        scales = self._scales()
        cards = "".join(self._card(row, found, scales) for row, found in self._drawn)
        parts = [self._legend(scales), f'<section class="cards">{cards}</section>', self._refused()]
        note = "Hydrogens count with their heavy atom. Atoms are numbered from 0 in the order of the input."
        return html_page("Atom contributions", intro, parts, note, STYLE)

    def _scales(self) -> list[float]:
        """By target, the contribution of the strongest colour, the same for all molecules and methods."""
        scales = []
        for place in range(len(self._explainer.targets)):
            largest = [
                float(np.abs(attribution.contributions[:, place]).max())
                for _, found in self._drawn
                for attribution in found.attributions.values()
            ]
            scales.append(max(float(np.quantile(largest, _TYPICAL)), 1e-9) if largest else 1.0)
        return scales

    def _legend(self, scales: Sequence[float]) -> str:
        bars = [
            f'<div class="bar"><span>{-scale:+.2g}</span><i></i><span>{scale:+.2g}</span>'
            f"<span>{escape(self._quantity(name))}</span></div>"
            for name, scale in zip(self._explainer.targets, scales, strict=True)
        ]
        words = "A solid ring means that the atom raises the prediction, a dashed one that it lowers it; "
        words += "beyond the ends of the scale the colour stays the same."
        lines = [words, *(HOW[method] for method in self._explainer.methods), *self._explainer.notes]
        return "".join(bars) + "".join(f"<p>{escape(line)}</p>" for line in lines)

    def _quantity(self, name: str) -> str:
        kind = self._explainer.kinds[self._explainer.targets.index(name)]
        if kind == "multiclass" and name in self._explainer.predictor.target_names:
            return f"log-odds of the predicted class of {name} against the rest"
        if kind != "regression":
            return f"log-odds of {name}"
        return f"{name}, in its own unit"

    def _card(self, row: InputRow, found: Explanation, scales: Sequence[float]) -> str:
        figures = "".join(self._figures(found, scales))
        cells = [
            f"{escape(name)}: {escape(cell)}"
            for name, cell in zip(self._header, row.cells, strict=True)
            if cell
        ]
        return (
            f'<article class="card"><h3>{escape(_title(self._header, row))}</h3>'
            f"<small>{escape(row.row_id)}<br>{'<br>'.join(cells)}</small>{figures}"
            f"<details><summary>Numbers per atom</summary>{self._numbers(found)}</details></article>"
        )

    def _figures(self, found: Explanation, scales: Sequence[float]) -> Iterator[str]:
        symbols = symbols_of(found.record)
        for place, (target, scale) in enumerate(zip(self._explainer.targets, scales, strict=True)):
            for method, attribution in found.attributions.items():
                values = attribution.contributions[:, place].tolist()
                tips = [
                    f"{symbol}, atom {atom}: {value:+.3g}"
                    for atom, (symbol, value) in enumerate(zip(symbols, values, strict=True))
                ]
                drawn = draw_atoms(found.record, values, scale, tips)
                if not drawn:
                    drawn = "<p>RDKit cannot draw this molecule; its numbers are below.</p>"
                yield f"<figure>{drawn}<figcaption>{self._caption(found, place, target, method)}</figcaption>"
                yield "</figure>"

    def _caption(self, found: Explanation, place: int, target: str, method: Method) -> str:
        value = f"{found.predicted[place]:.3g}"
        named = target
        if found.class_names and found.class_names[place] != target:
            named = f"{target} = {found.class_names[place]}"
        words = f"<strong>{escape(named)}: {value}</strong>"
        explained = found.explained[place]
        if self._explainer.kinds[place] != "regression":
            words += f" (log-odds {explained:+.3g})"
        elif value != f"{explained:.3g}":
            words += f" (mean of the networks {explained:.3g})"
        words += f"<br><small>{method}"
        attribution, share = found.attributions[method], found.missing(method)
        if attribution.baseline is not None and share is not None:
            total = attribution.contributions[:, place].sum()
            words += f": masked molecule {attribution.baseline[place]:.3g}, atoms {total:+.3g}"
            if share[place] > TOLERANCE:
                words += (
                    f"; they miss the prediction by {share[place]:.1%} after {attribution.steps:.0f} steps"
                )
        return words + "</small>"

    def _numbers(self, found: Explanation) -> str:
        methods = found.attributions
        header = [
            "atom",
            *(f"{target}, {method}" for method in methods for target in self._explainer.targets),
        ]
        parts = np.hstack([attribution.contributions for attribution in methods.values()])
        rows = [
            [f"{atom} {symbol}", *(f"{value:+.3f}" for value in parts[atom])]
            for atom, symbol in enumerate(symbols_of(found.record))
        ]
        return html_table("", header, rows)

    def _refused(self) -> str:
        if not self._rejected:
            return ""
        rows = [
            [escape(row.row_id), escape(", ".join(filter(None, row.cells))), escape(reason)]
            for row, reason in self._rejected
        ]
        return html_table("Rows without a prediction", ["row", "input", "reason"], rows)


def _title(header: Sequence[str], row: InputRow) -> str:
    """The cell of a column of names, else of one of titles or ids, else the row's id."""
    cells = {name.lower(): cell for name, cell in zip(header, row.cells, strict=True) if cell}
    return next((cells[name] for name in ("name", "title", "id") if name in cells), row.row_id)
