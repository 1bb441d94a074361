"""Contributions of atoms: by hand where the network is linear, and what must hold of any network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moleblend_plugin.chem import ConversionConfig, convert_molecule
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.explain.explainer import METHODS, Explainer, Explanation
from moleblend_plugin.explain.gradients import TOLERANCE, integrated_gradients, missing
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.models.property.gin import GinConfig, GinProperty
from moleblend_plugin.models.property.network import PropertyConfig, PropertyOutputs
from moleblend_plugin.schema import MoleculeRecord
from tests.explain.conftest import SumOfAtoms, predictor_of, transformer
from tests.molecules import make_record

RECORDS = [make_record(size, size) for size in (7, 1, 4)]


def record_of(smiles: str) -> MoleculeRecord:
    found = convert_molecule(smiles, 0, ConversionConfig(None, source_coords=False))
    assert isinstance(found, MoleculeRecord), found
    return found


def explain(predictor: Predictor, records: list[MoleculeRecord]) -> list[Explanation]:
    return list(Explainer(predictor, METHODS).explain_records(records))


def test_of_a_linear_network_they_are_its_parts(linear: SumOfAtoms) -> None:
    for record, found in zip(RECORDS, explain(predictor_of(linear, "ab"), RECORDS), strict=True):
        assert found.record is record
        for method in METHODS:
            contributions = found.attributions[method].contributions
            np.testing.assert_allclose(contributions, linear.by_hand(record), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.explained, found.predicted, rtol=1e-5)
        baseline = found.attributions["integrated-gradients"].baseline
        by_hand = (linear.head.bias * linear.target_std + linear.target_mean).detach().numpy()
        np.testing.assert_allclose(baseline, by_hand, rtol=1e-5)


@pytest.mark.parametrize("readout", ["cls", "mean", "sum", "attention"])
@pytest.mark.parametrize("mode", ["2d", "both"])
def test_integrated_gradients_sum_to_prediction_less_baseline(readout: str, mode: str) -> None:
    predictor = predictor_of(transformer(readout=readout), "ab", mode)  # type: ignore[arg-type]
    for found in explain(predictor, RECORDS):
        parts = found.attributions["integrated-gradients"]
        assert parts.baseline is not None
        wanted = found.explained - parts.baseline
        assert np.abs(wanted).min() > 1e-4  # there is something to explain
        np.testing.assert_allclose(parts.contributions.sum(0), wanted, rtol=TOLERANCE)
        share = found.missing("integrated-gradients")
        assert share is not None
        assert (share <= TOLERANCE).all()
        assert found.missing("occlusion") is None


def test_steps_rise_until_the_sum_is_right() -> None:
    network = transformer().eval()
    predictor = predictor_of(network, "ab")
    sizes = []

    def steps(net_input: dict[str, torch.Tensor]) -> list[np.ndarray]:
        few = integrated_gradients(network, net_input, first=1, most=1)
        more = integrated_gradients(network, net_input, first=1)
        sizes.append(more.steps)
        assert (missing(*few[:3]) > TOLERANCE).any()
        assert (missing(*more[:3]) <= TOLERANCE).all()
        return [np.zeros(1)]

    list(predictor.run(steps, RECORDS[:1], 1))  # type: ignore[arg-type]
    assert 1 < sizes[0] <= 512


def test_the_baseline_shows_neither_atoms_nor_relations() -> None:
    """It is the same for every molecule of so many atoms, and that of a network without any input."""
    predictor = predictor_of(transformer(), "ab", "both")
    same = [make_record(6, seed) for seed in (1, 2)]
    first, second = (each.attributions["integrated-gradients"].baseline for each in explain(predictor, same))
    assert first is not None
    np.testing.assert_allclose(first, second, rtol=1e-5)
    kept = []

    def with_relations_kept(net_input: dict[str, torch.Tensor]) -> list[np.ndarray]:
        kept.append(integrated_gradients(predictor.network, net_input, with_relations=False))
        return [np.zeros(1)]

    list(predictor.run(with_relations_kept, same, 1))  # type: ignore[arg-type]
    assert not torch.allclose(kept[0].baseline, kept[1].baseline, rtol=1e-3)
    assert all((missing(*each[:3]) <= TOLERANCE).all() for each in kept)


def test_the_share_that_is_missing_by_hand() -> None:
    contributions = torch.tensor([[1.0, 2.0], [3.0, -2.0]], dtype=torch.float64)
    outputs, baseline = torch.tensor([6.0, 1.0]), torch.tensor([1.0, 1.0])
    found = missing(contributions, outputs.double(), baseline.double())
    assert found.tolist() == pytest.approx([0.2, 0.0])


def test_occlusion_is_the_difference_that_masking_makes() -> None:
    """The masked atom's own features count for nothing: what it was does not change what is left."""
    predictor = predictor_of(transformer(), "ab")
    record, other = RECORDS[0], make_record(7, 7)
    other.atom_codes[2] = (record.atom_codes[2] + 1) % 2
    first, second = explain(predictor, [record, other])
    left = [each.explained - each.attributions["occlusion"].contributions[2] for each in (first, second)]
    np.testing.assert_allclose(left[0], left[1], rtol=1e-4)
    assert not np.allclose(first.explained, second.explained, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_atoms_stand_in_the_order_of_the_input(method: str) -> None:
    """A SMILES written from the other end gives the same contributions, the other way round."""
    predictor = predictor_of(transformer(), "ab")
    there, back = (record_of(smiles) for smiles in ("OCCNC(=O)CF", "FCC(=O)NCCO"))
    assert there.smiles == back.smiles
    one, two = list(Explainer(predictor, [method]).explain_records([there, back]))
    place = [7, 6, 4, 5, 3, 2, 1, 0]  # in the first, of every atom of the second: O follows the C it is on
    first, second = (each.attributions[method].contributions for each in (one, two))  # type: ignore[index]
    np.testing.assert_allclose(second, first[place], rtol=1e-3, atol=1e-4)
    assert [each.atom_codes[0, 0] + 1 for each in (there, back)] == [8, 9]


@pytest.mark.parametrize("method", METHODS)
def test_symmetric_atoms_contribute_alike(method: str) -> None:
    predictor = predictor_of(transformer(), "ab")
    (found,) = Explainer(predictor, [method]).explain_records([record_of("Cc1cc(C)cc(C)c1")])
    parts = found.attributions[method].contributions  # type: ignore[index]
    methyls, between, beside = [0, 4, 7], [2, 5, 8], [1, 3, 6]
    for alike in (methyls, between, beside):
        np.testing.assert_allclose(parts[alike], parts[alike[:1]].repeat(3, 0), rtol=1e-3, atol=1e-5)
    assert not np.allclose(parts[0], parts[1], rtol=1e-2)


def test_classes_are_explained_in_log_odds() -> None:
    predictor = predictor_of(transformer("classification"), "ab")
    explainer = Explainer(predictor, METHODS)
    assert explainer.unit == "log-odds"
    for found in explainer.explain_records(RECORDS):
        odds = np.log(found.predicted / (1 - found.predicted))
        np.testing.assert_allclose(found.explained, odds, rtol=1e-3, atol=1e-4)


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    members = [predictor_of(transformer(seed=seed), "ab") for seed in (1, 2, 3)]
    singles = [explain(member, RECORDS) for member in members]
    explainer = Explainer(Ensemble(members), METHODS)
    assert "3 networks" in explainer.notes[0]
    for place, found in enumerate(explainer.explain_records(RECORDS)):
        np.testing.assert_allclose(found.explained, found.predicted, rtol=1e-5)
        for method in METHODS:
            each = [single[place].attributions[method].contributions for single in singles]
            np.testing.assert_allclose(found.attributions[method].contributions, np.mean(each, 0), rtol=1e-6)


def test_conformers_are_averaged() -> None:
    predictor = predictor_of(transformer(), "ab", "both")
    record = make_record(6, 3, conformers=2)
    singles = [make_record(6, 3, conformers=2) for _ in range(2)]
    for number, single in enumerate(singles):
        object.__setattr__(single, "coords", single.coords[number : number + 1])  # type: ignore[index]
    both, *alone = explain(predictor, [record, *singles])
    for method in METHODS:
        parts = [each.attributions[method].contributions for each in alone]
        assert not np.allclose(parts[0], parts[1])
        np.testing.assert_allclose(both.attributions[method].contributions, np.mean(parts, 0), rtol=1e-5)


def test_one_target_of_several(linear: SumOfAtoms) -> None:
    explainer = Explainer(predictor_of(linear, "ab"), METHODS, ["b"])
    (found,) = explainer.explain_records(RECORDS[:1])
    assert explainer.targets == ("b",)
    for method in METHODS:
        parts = found.attributions[method].contributions
        np.testing.assert_allclose(parts, linear.by_hand(RECORDS[0])[:, 1:], rtol=1e-4, atol=1e-5)


def test_a_graph_network_is_explained_too() -> None:
    torch.manual_seed(0)
    network = GinProperty(GinConfig(2, 8), PropertyConfig(1, "regression")).eval()
    (found, *_) = explain(predictor_of(network, "a"), RECORDS)
    parts = found.attributions["integrated-gradients"]
    assert parts.baseline is not None
    np.testing.assert_allclose(parts.contributions.sum(0), found.explained - parts.baseline, rtol=TOLERANCE)


class NoTable(PropertyOutputs):
    def __init__(self) -> None:
        super().__init__()
        self.add_outputs(PropertyConfig(1, "regression"))


@pytest.mark.parametrize(
    ("network", "methods", "targets", "words"),
    [
        (lambda: SumOfAtoms(1, "regression"), ["gradients"], None, "method 'gradients': choose from occl"),
        (lambda: SumOfAtoms(1, "regression"), [], None, "choose from occlusion"),
        (lambda: SumOfAtoms(1, "regression"), METHODS, ["logS"], "no target 'logS': choose from y0"),
        (lambda: SumOfAtoms(13, "regression"), METHODS, None, "predicts 13 targets: name those to explain"),
        (NoTable, METHODS, None, "NoTable cannot be explained: it has 0 tables of atoms"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    network: type[PropertyOutputs], methods: list[str], targets: list[str] | None, words: str
) -> None:
    made = network()  # type: ignore[call-arg]
    names = [f"y{number}" for number in range(made.property.outputs)]
    with pytest.raises(MoleblendError, match=words):
        Explainer(predictor_of(made, names), methods, targets)
