"""One epoch for all members."""

from __future__ import annotations

import pytest

from moleblend_plugin.ensembles.epoch import best_epoch, contenders, mean_curve
from moleblend_plugin.errors import MoleblendError

NAN = float("nan")


def test_the_mean_counts_labels() -> None:
    assert mean_curve([{1: 1.0, 2: 4.0}, {1: 5.0, 2: 0.0}], [30, 10]) == {1: 2.0, 2: 3.0}


def test_noise_of_single_folds_does_not_choose() -> None:
    """Each fold's own best epoch is an accident; all together are best at epoch 2."""
    curves = [{1: 0.1, 2: 0.5, 3: 0.9}, {1: 1.2, 2: 0.5, 3: 0.2}, {1: 0.9, 2: 0.5, 3: 0.8}]
    assert [best_epoch(curve) for curve in curves] == [1, 3, 2]
    assert best_epoch(mean_curve(curves, [1, 1, 1])) == 2


def test_scores_that_rise_and_ties() -> None:
    assert best_epoch({1: 0.7, 2: 0.9, 3: 0.9}, rises=True) == 2
    assert best_epoch({3: 0.5, 1: 0.5}) == 1


def test_an_epoch_that_a_member_lacks_is_no_candidate() -> None:
    assert mean_curve([{1: 1.0, 2: 0.0, 3: NAN}, {1: 1.0, 3: 0.0}], [1, 1]) == {1: 1.0}
    with pytest.raises(MoleblendError, match="no epoch has a finite validation metric in every member"):
        best_epoch(mean_curve([{1: NAN}, {1: 1.0}], [1, 1]))


def test_contenders_are_judged_where_all_that_have_begun_are_validated() -> None:
    first, second = {1: 0.9, 2: 0.5, 3: 0.3, 4: 0.6}, {1: 0.9, 2: 0.1, 3: 0.6}
    assert contenders([first], [1], 2) == {2, 3}
    assert contenders([first, second], [1, 1], 1) == {2, 4}, "4 is not judged yet"
    assert contenders([first, second], [9, 1], 1) == {3, 4}
    assert contenders([first], [1], 2, rises=True) == {1, 4}


def test_no_contender_without_a_score_stays_while_others_have_one() -> None:
    assert contenders([{1: NAN, 2: 0.2, 3: 0.1}], [1], 2) == {2, 3}
    assert contenders([{1: NAN, 2: 0.2, 3: 0.1}], [1], 2, rises=True) == {2, 3}
