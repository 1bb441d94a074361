"""``report.html`` of a search, on one page that needs nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from html import escape
from typing import Any, Final, NamedTuple

import numpy as np
from optuna.study import Study

from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.prepared import Prepared
from moleblend_plugin.names import write_name
from moleblend_plugin.report.page import html_page, html_picture, html_table
from moleblend_plugin.tuning.folder import BEST
from moleblend_plugin.tuning.importance import FEWEST, importances
from moleblend_plugin.tuning.objective import mean_of
from moleblend_plugin.tuning.pictures import history_picture, importance_picture, settings_picture
from moleblend_plugin.tuning.search_score import SearchScore
from moleblend_plugin.tuning.trials import TriedSettings, default_of, finished, spread_of, winner
from moleblend_plugin.tuning.tuner import USED

_SHOWN: Final = 10
"""Trials of the table."""


class Search(NamedTuple):
    """What was searched, and on what.

    Attributes:
        prepared: the table and its parts.
        names: of the settings that are searched.
        split_sha256: checksum of the split.
        data_sha256: by file.
        minutes: that were given.
    """

    prepared: Prepared
    names: tuple[str, ...]
    split_sha256: str
    data_sha256: dict[str, str]
    minutes: float


def tune_page(
    study: Study, search: Search, trials: Sequence[TriedSettings], score: SearchScore, ended: str
) -> str:
    """The page.

    Args:
        study: it.
        search: what was searched.
        trials: of the study, the default's finished.
        score: what it went by.
        ended: why the search ended.
    """
    options, rises, title = search.prepared.table.options, score.rises, score.title
    best, default = winner(trials, rises), default_of(trials)
    pair = (default.at(options.stacking), best.folds)
    found = importances(study)
    parts = [
        _headlines(trials, pair, title, rises, best, ended),
        "<h2>The winner beside the default</h2>",
        _settings_table(search, best, options),
        _folds_table(pair, title),
        "<h2>History</h2>",
        html_picture(history_picture(trials, title, rises)),
        "<h2>What mattered</h2>",
        *_importance(found, len(finished(trials))),
        html_picture(settings_picture(trials, search.names, title, rises)),
        _forests(trials, title),
        "<h2>Best trials</h2>",
        _trials_table(trials, search.names, title, rises),
        "<h2>Data</h2>",
        _data_table(study, search),
        "<h2>Continue</h2>",
        _commands(options),
    ]
    names = ", ".join(search.prepared.table.names[:5])
    intro = (
        f"Trials were compared by cross-validation of the training part of {options.data}; the test part was "
        "not looked at."
    )
    return html_page(f"Search of settings for {names}", intro, parts, "")


def _headlines(
    trials: Sequence[TriedSettings],
    pair: tuple[tuple[float, ...], tuple[float, ...]],
    title: str,
    rises: bool,
    best: TriedSettings,
    ended: str,
) -> str:
    default, won = pair
    states = [trial.state for trial in trials]
    compared = states.count("complete") + states.count("pruned")
    lines = []
    if mean_of(won) == mean_of(default):
        lines.append(f"No setting was better than the default: {title} {_with_spread(default)}.")
    else:
        off = np.array(won) - np.array(default)
        better = int(np.nansum(off > 0 if rises else off < 0))
        lines += [
            f"{title} of the best setting (trial {best.number}): {_with_spread(won)} over {len(won)} folds; "
            f"of the default: {_with_spread(default)}.",
            f"The best setting is better in {better} of {len(won)} folds. It is the best of "
            f"{compared} trials on these folds, so that its score is a little too good: the test part "
            "of a fit says how good it is.",
        ]
    lines.append(
        f"{states.count('complete')} trials were completed, {states.count('pruned')} pruned, "
        f"{states.count('failed')} failed. The search ended because {ended}."
    )
    return f'<ul class="headlines">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def _with_spread(folds: tuple[float, ...]) -> str:
    spread = spread_of(folds)
    return f"{mean_of(folds):.4g}" + (f" ± {spread:.2g}" if spread == spread else "")


def _settings_table(search: Search, best: TriedSettings, options: FitOptions) -> str:
    rows = []
    pairs = {name: (getattr(options, name), best.params[name]) for name in search.names}
    for name, (default, won) in {**pairs, "stacking": (options.stacking, best.stacking)}.items():
        shown = escape(_value(won))
        rows.append([escape(name), escape(_value(default)), f"<b>{shown}</b>" if won != default else shown])
    rows.append(["networks, one per fold", str(options.ensemble_size), str(options.ensemble_size)])
    return html_table("Settings", ("setting", "default", "winner"), rows)


def _value(value: Any) -> str:  # noqa: ANN401  a setting
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _folds_table(pair: tuple[tuple[float, ...], tuple[float, ...]], title: str) -> str:
    default, won = pair
    off = tuple(np.array(won) - np.array(default))
    rows = [
        [f"fold {number + 1}", *(_score(value) for value in values)]
        for number, values in enumerate(zip(default, won, off, strict=True))
    ]
    rows.append(["mean", *(_score(mean_of(values)) for values in (default, won, off))])
    rows.append(["standard deviation", *(_score(spread_of(values)) for values in (default, won, off))])
    return html_table(f"{title} of every fold", ("fold", "default", "winner", "winner less default"), rows)


def _score(value: float) -> str:
    return "undefined" if value != value else f"{value:.4g}"


def _importance(found: dict[str, float], count: int) -> list[str]:
    if not found:
        return [
            _paragraph(
                f"Importances need {FEWEST} finished trials with different scores; there are {count} trials."
            )
        ]
    text = (
        f"Share of the variance between {count} finished trials that each setting explains by itself or with "
        "others (fANOVA). Of few trials this is a rough guide; it says nothing of values that were not tried."
    )
    return [_paragraph(text), html_picture(importance_picture(found))]


def _forests(trials: Sequence[TriedSettings], title: str) -> str:
    """Networks alone beside networks with forests, of trials that have both."""
    both = [
        trial for trial in finished(trials) if trial.alone == trial.alone and trial.stacked == trial.stacked
    ]
    if not both:
        return ""
    alone, stacked = (
        float(np.mean([getattr(trial, name) for trial in both])) for name in ("alone", "stacked")
    )
    rows = [["networks alone", f"{alone:.4g}"], ["networks stacked with forests", f"{stacked:.4g}"]]
    return html_table(f"{title}, mean of {len(both)} trials", ("", "score"), rows)


def _trials_table(trials: Sequence[TriedSettings], names: Sequence[str], title: str, rises: bool) -> str:
    order = sorted(finished(trials), key=lambda trial: -trial.value if rises else trial.value)[:_SHOWN]
    rows = [
        [
            f"{trial.number}{' (default)' if trial.is_default else ''}",
            _with_spread(trial.folds),
            *(escape(_value(trial.params[name])) for name in names),
            trial.stacking,
            f"{trial.seconds:.0f}",
        ]
        for trial in order
    ]
    return html_table(f"Best {len(order)} of all", ("trial", title, *names, "stacking", "seconds"), rows)


def _data_table(study: Study, search: Search) -> str:
    table, divided = search.prepared.table, search.prepared.divided
    rows = [
        ["file", escape(table.options.data)],
        ["columns of labels", escape(", ".join(map(write_name, table.names[:10])))],
        ["training part", f"{len(search.prepared.learned):,} molecules"],
        ["test part, left out", f"{len(divided.rows('test')):,} molecules"],
        ["rejected rows", f"{len(table.rejected):,}"],
        ["split", escape(divided.method)],
        ["sha256 of the split", search.split_sha256[:16]],
        ["minutes", f"{float(study.user_attrs.get(USED, 0.0)) / 60:.1f} of {search.minutes:g}"],
    ]
    return html_table("What was read", ("", ""), rows)


def _commands(options: FitOptions) -> str:
    lines = (
        f"moleblend fit --config THIS_FOLDER/{BEST} --out model/      # and the scores of the test part",
        f"moleblend tune {shlex.quote(options.data)} ... --minutes MORE --out THIS_FOLDER      # continues",
    )
    text = "trials.csv holds all trials, study.db is an optuna study."
    return f"{_paragraph(text)}<pre>{escape(chr(10).join(lines))}</pre>"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"
