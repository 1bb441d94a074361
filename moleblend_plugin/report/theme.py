"""Pictures for light and for dark screens: one set of colours, one way to draw."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a picture; ``lines`` differ for any colour vision (after Okabe and Ito)."""

    paper: str
    ink: str
    grid: str
    train: str
    valid: str
    lines: tuple[str, ...]


LIGHT: Final = Theme(
    paper="#ffffff",
    ink="#24292f",
    grid="#d8dee4",
    train="#7aa7d9",
    valid="#c2410c",
    lines=("#d55e00", "#0072b2", "#009e73", "#9a6700", "#cc79a7", "#56b4e9", "#6e7781"),
)
DARK: Final = Theme(
    paper="#161b22",
    ink="#e6edf3",
    grid="#30363d",
    train="#5b87b8",
    valid="#fb923c",
    lines=("#ff8c42", "#58a6ff", "#3ddba4", "#e8c547", "#e79fc8", "#9bd4f5", "#8d96a0"),
)

Fill = Callable[["Figure", Theme], None]


class Picture(NamedTuple):
    """What it shows, in words, and the PNG for light and for dark screens."""

    text: str
    light: bytes
    dark: bytes


def draw(text: str, size: tuple[float, float], fill: Fill) -> Picture:
    """A picture of ``size`` inches; ``fill`` draws on the figure in the colours of a theme."""
    return Picture(text, _png(size, LIGHT, fill), _png(size, DARK, fill))


def _png(size: tuple[float, float], theme: Theme, fill: Fill) -> bytes:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), theme.ink),
        **dict.fromkeys(("axes.edgecolor", "grid.color"), theme.grid),
        **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
        "axes.facecolor": theme.paper,
        "font.size": 9,
        "text.parse_math": False,  # a name with two $ in it is no formula
    }
    with rc_context(settings):
        figure = Figure(figsize=size, dpi=120, facecolor=theme.paper, layout="constrained")
        FigureCanvasAgg(figure)
        fill(figure, theme)
        png = io.BytesIO()
        figure.savefig(png, format="png")
    return png.getvalue()


def legend_label(name: str) -> str:
    """``name`` for a legend, which leaves out names that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name
