"""Pictures of a search: scores in the order of the trials, by every setting, and importances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from moleblend_plugin.report.theme import Picture, Theme, draw
from moleblend_plugin.tuning.space import RATES
from moleblend_plugin.tuning.trials import TriedSettings, finished, winner

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOGARITHMIC: Final = "learning_rate"
"""The setting that is searched by its logarithm."""

_RATE_TICKS: Final = (1e-4, 3e-4, 1e-3)
_PANELS: Final = 4
_JITTER: Final = 0.12


def history_picture(trials: Sequence[TriedSettings], title: str, rises: bool) -> Picture:
    """Score of every trial with its spread over the folds, and the best so far; pruned trials as marks."""
    from matplotlib.ticker import MaxNLocator

    done = finished(trials)
    pruned = [trial.number for trial in trials if trial.state == "pruned"]

    def fill(figure: Figure, theme: Theme) -> None:
        panel = figure.subplots()
        numbers, values = [trial.number for trial in done], [trial.value for trial in done]
        best = np.maximum.accumulate(values) if rises else np.minimum.accumulate(values)
        panel.step(numbers, best, where="post", color=theme.lines[0], label="best so far")
        panel.errorbar(
            numbers,
            values,
            [0.0 if trial.spread != trial.spread else trial.spread for trial in done],
            fmt="o",
            color=theme.lines[1],
            ecolor=theme.grid,
            markersize=5,
            label="mean over the folds, with their standard deviation",
        )
        first = next(trial for trial in done if trial.is_default)
        panel.plot([first.number], [first.value], "D", color=theme.lines[2], markersize=7, label="default")
        if pruned:
            edge = panel.get_ylim()[0 if rises else 1]
            panel.plot(pruned, [edge] * len(pruned), "x", color=theme.lines[6], label="pruned")
        panel.set_xlabel("trial")
        panel.set_ylabel(title)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(visible=True, linewidth=0.4)
        panel.set_axisbelow(True)
        panel.legend(frameon=False, fontsize=8)

    return draw("Score of the trials in their order", (9, 3.6), fill)


def importance_picture(found: Mapping[str, float]) -> Picture:
    """Share of the variance between trials that each setting explains."""
    names, shares = list(found), list(found.values())

    def fill(figure: Figure, theme: Theme) -> None:
        panel = figure.subplots()
        bars = panel.barh(range(len(names)), shares, color=theme.lines[1], height=0.6)
        panel.bar_label(bars, [f"{share:.0%}" for share in shares], padding=4, color=theme.ink, fontsize=8)
        panel.set_yticks(range(len(names)), names)
        panel.invert_yaxis()
        panel.set_xlim(0, 1.1 * max(shares))
        panel.set_xlabel("share of the variance between trials (fANOVA)")
        panel.grid(visible=True, axis="x", linewidth=0.4)
        panel.set_axisbelow(True)

    return draw("Importance of the settings", (8, 0.9 + 0.34 * len(names)), fill)


def settings_picture(
    trials: Sequence[TriedSettings], names: Sequence[str], title: str, rises: bool
) -> Picture:
    """Score against the value of every setting, the winner marked."""
    done, best = finished(trials), winner(trials, rises)
    rows = -(-len(names) // _PANELS)

    def fill(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(rows, _PANELS, squeeze=False, sharey=True).ravel()
        for panel, name in zip(panels, names, strict=False):
            _draw_setting(
                panel, name, [trial.params[name] for trial in done], [trial.value for trial in done], theme
            )
            place = done.index(best)
            x = _positions([trial.params[name] for trial in done])[0][place]
            panel.plot([x], [best.value], "o", color=theme.lines[0], markersize=8)
            panel.set_title(name, fontsize=9, loc="left")
        for panel in panels[::_PANELS]:
            panel.set_ylabel(title, fontsize=8)
        for panel in panels[len(names) :]:
            panel.set_visible(False)

    return draw("Score by the value of every setting", (11, 2.5 * rows), fill)


def _draw_setting(panel: Axes, name: str, settings: list[Any], scores: list[float], theme: Theme) -> None:
    positions, words = _positions(settings)
    panel.plot(positions, scores, "o", color=theme.lines[1], alpha=0.7, markersize=4)
    if words:
        panel.set_xticks(range(len(words)), words, fontsize=8)
        panel.set_xlim(-0.5, len(words) - 0.5)
    elif name == LOGARITHMIC:
        panel.set_xscale("log")
        panel.set_xticks(_RATE_TICKS, [f"{rate:g}" for rate in _RATE_TICKS])
        panel.minorticks_off()
        panel.set_xlim(RATES[0] / 1.2, RATES[1] * 1.2)
    panel.grid(visible=True, linewidth=0.4)
    panel.set_axisbelow(True)


def _positions(settings: list[Any]) -> tuple[list[float], list[str]]:
    """Where values stand on an axis, and the words there where they are no numbers."""
    if not any(isinstance(value, str) for value in settings):
        return [float(value) for value in settings], []
    words = list(dict.fromkeys(sorted(map(str, settings))))
    shift = np.random.default_rng(0).uniform(-_JITTER, _JITTER, len(settings))
    return [words.index(str(value)) + move for value, move in zip(settings, shift, strict=True)], words
