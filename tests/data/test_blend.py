"""Blending: frequencies, reproducibility, molecules without 3D, and impossible settings."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.data.samples.blend import BlendConfig, blend
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Shown
from tests.molecules import make_record

FEATURES = featurize(make_record(60))
FLAT = featurize(make_record(60, conformers=0))


def shares(shown: np.ndarray) -> dict[int, float]:
    bits, counts = np.unique(shown, return_counts=True)
    return dict(zip(bits.tolist(), (counts / shown.size).tolist(), strict=True))


@pytest.mark.parametrize("probs", [(0.2, 0.2, 0.6), (0.7, 0.2, 0.1), (0.0, 0.5, 0.5), (1.0, 0.0, 0.0)])
def test_pairs_follow_the_probabilities(probs: tuple[float, float, float]) -> None:
    drawn = np.stack([blend(FEATURES, BlendConfig(probs), 1, 1, i)["pair_shown"] for i in range(20)])
    found = shares(drawn)
    for bit, probability in zip((Shown.SPD, Shown.EDGE, Shown.DISTANCE), probs, strict=True):
        # 72,000 draws: five standard deviations are below 0.01
        assert found.get(int(bit), 0.0) == pytest.approx(probability, abs=0.01)


def test_atoms_follow_their_probabilities() -> None:
    drawn = np.stack([blend(FEATURES, BlendConfig(), 1, 1, i)["atom_shown"] for i in range(200)])
    assert shares(drawn)[int(Shown.DISTANCE)] == pytest.approx(0.6, abs=0.025)


def test_pairs_are_drawn_per_molecule_and_ordered_pair() -> None:
    first, second = (blend(FEATURES, BlendConfig(), 1, 1, i)["pair_shown"] for i in (0, 1))
    assert (first != second).any()
    assert (first != first.T).any()


def test_noise_has_its_sigma_and_is_what_was_added() -> None:
    samples = [blend(FEATURES, BlendConfig(noise_sigma=0.2), 1, 1, i) for i in range(50)]
    noise = np.stack([sample["noise"] for sample in samples])
    assert noise.std() == pytest.approx(0.2, rel=0.05)
    assert noise.mean() == pytest.approx(0.0, abs=0.01)
    np.testing.assert_allclose(samples[0]["coords"], samples[0]["clean_coords"] + samples[0]["noise"])


def test_an_atom_at_the_origin_gets_noise_like_any_other() -> None:
    record = make_record(4)
    assert record.coords is not None
    record.coords[0, 2] = 0
    assert blend(featurize(record), BlendConfig(), 1, 1, 0)["noise"][2].all()


def test_a_sample_is_a_function_of_seed_epoch_and_index() -> None:
    again = blend(FEATURES, BlendConfig(), 3, 2, 7)
    for name, array in blend(FEATURES, BlendConfig(), 3, 2, 7).items():
        np.testing.assert_array_equal(array, again[name])
    for other in ((4, 2, 7), (3, 3, 7), (3, 2, 8)):
        assert (blend(FEATURES, BlendConfig(), *other)["pair_shown"] != again["pair_shown"]).any()


def test_without_3d_nothing_3d_is_shown() -> None:
    sample = blend(FLAT, BlendConfig(), 1, 1, 0)
    assert set(np.unique(sample["pair_shown"])) == {int(Shown.SPD), int(Shown.EDGE)}
    assert set(np.unique(sample["atom_shown"])) == {int(Shown.SPD)}
    assert not sample["has_coords"]
    assert not sample["noise"].any()


def test_without_3d_the_2d_proportions_stay() -> None:
    drawn = np.stack([blend(FLAT, BlendConfig((0.3, 0.1, 0.6)), 1, 1, i)["pair_shown"] for i in range(20)])
    assert shares(drawn)[int(Shown.SPD)] == pytest.approx(0.75, abs=0.01)


def test_3d_only_blending_of_a_flat_molecule_shows_nothing() -> None:
    sample = blend(FLAT, BlendConfig((0.0, 0.0, 1.0), (0.0, 1.0)), 1, 1, 0)
    assert not sample["pair_shown"].any()
    assert not sample["atom_shown"].any()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"relation_probs": (0.5, 0.5, 0.5)}, "--relation-probs 0.5,0.5,0.5: they sum to 1.5"),
        ({"relation_probs": (1.2, -0.2, 0.0)}, "none below 0"),
        ({"relation_probs": (float("nan"), 0.5, 0.5)}, "--relation-probs"),
        ({"relation_probs": (0.5, 0.5)}, "give 3 probabilities"),
        ({"atom_probs": (0.5, 0.4)}, "--atom-probs 0.5,0.4: they sum to 0.9"),
        ({"noise_sigma": -0.1}, "--noise-sigma -0.1"),
        ({"blend_scope": "world"}, "--blend-scope world"),
    ],
)
def test_impossible_settings_name_flag_and_remedy(settings: dict[str, object], named: str) -> None:
    with pytest.raises(MoleblendError, match=named.replace("(", r"\(")):
        BlendConfig(**settings)


def test_probabilities_that_sum_to_one_but_for_rounding_are_taken() -> None:
    """The published code silently replaces these by its defaults (method 6.2)."""
    assert BlendConfig((0.7, 0.2, 0.1)).relation_probs == (0.7, 0.2, 0.1)
