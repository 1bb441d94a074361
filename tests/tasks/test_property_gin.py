"""GIN over labels: from scratch, from its pretraining, and in prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.models.parts.graph_networks import GraphFeatures
from moleblend_plugin.models.property.gin import GinConfig, GinProperty
from moleblend_plugin.models.property.network import PropertyConfig
from moleblend_plugin.models.structure.network import StructureAware
from moleblend_plugin.tasks.load import load_encoder
from moleblend_plugin.vocab import BOND, SPD
from tests.labelled import CLASSES, class_tables, options, regression_tables, validations, write_labelled
from tests.viewed import SIZES, SMALL, VIEWS, batch_of, viewed

GIN = (
    *("--task", "moleblend_property", "--arch", "moleblend_property_gin", "--optimizer", "adam"),
    *("--graph-layers", 2, "--graph-dim", 12, "--graph-dropout", 0, "--batch-size", 8, "--num-workers", 0),
    *("--loss", "moleblend_regression"),
)


def fit(data: Path, folder: Path, *more: object) -> list[dict[str, float]]:
    train_in_process([str(word) for word in (data, *GIN, "--save-dir", folder, *more)])
    return validations(folder)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_labelled(tmp_path, regression_tables(), conformers=0)


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """A structure-aware network whose 2d view is a GIN, as its run saves it."""
    torch.manual_seed(3)
    network = StructureAware(SMALL, replace(SIZES, graph_encoder="gin"), VIEWS)
    args = options(tmp_path, task="moleblend_structure_aware", arch="moleblend_structure_aware_tiny")
    torch.save({"model": network.state_dict(), "args": args}, tmp_path / "aware.pt")
    return tmp_path / "aware.pt"


def test_it_learns_and_predicts_in_the_units_of_the_labels(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(data, run, "--max-epoch", 60, "--lr", 1e-2, "--disable-validation")
    predictor = Predictor.from_checkpoint(run / "checkpoint_last.pt")
    predicted = predictor.predict_store(MoleculeStore(data / "train.lmdb"))
    truth = np.array(regression_tables()["train"])
    assert predicted.shape == truth.shape
    error, spread = np.nanmean(np.abs(predicted - truth), 0), np.nanstd(truth, 0)
    assert (error < 0.6 * spread).all()


def test_its_pretraining_is_taken_whole_or_not_at_all(data: Path, pretrained: Path, tmp_path: Path) -> None:
    """Acceptance 8 of the structure-aware reconstruction, for its GIN."""
    start = ("--finetune-from-model", pretrained, "--lr", 0, "--max-update", 1)
    fit(data, tmp_path / "run", *start)
    given = torch.load(pretrained, weights_only=False)["model"]
    taken = read_checkpoint(tmp_path / "run" / "checkpoint_last.pt")["model"]
    names = [name for name in taken if name.startswith("view_encoders.2d.")]
    assert set(names) == {name for name in given if name.startswith("view_encoders.2d.")}
    learned = [name for name in names if "running" not in name and "tracked" not in name]
    assert all(torch.equal(taken[name], given[name]) for name in learned)
    with pytest.raises(MoleblendError, match="the checkpoint's encoder differs"):
        fit(data, tmp_path / "deeper", *start, "--graph-layers", 3)


def test_no_transformer_is_found_in_it(data: Path, tmp_path: Path) -> None:
    fit(data, tmp_path / "run", "--max-update", 1)
    with pytest.raises(
        MoleblendError,
        match=r"contains no Transformer encoder \(it was trained with --arch moleblend_property_gin\)",
    ):
        load_encoder(tmp_path / "run" / "checkpoint_last.pt")


@pytest.mark.parametrize("features", ["all", "basic"])
def test_basic_features_are_number_chirality_and_type_of_bond(features: GraphFeatures) -> None:
    torch.manual_seed(0)
    network = GinProperty(
        GinConfig(2, 12, graph_features=features, graph_dropout=0), PropertyConfig(1, "regression")
    ).eval()
    batch = batch_of(viewed([6, 9]))["net_input"]

    def changed(field: str, where: tuple[object, ...], value: int) -> bool:
        """Whether the output changes with one code."""
        other = {name: part.clone() for name, part in batch.items()}
        assert (other[field][where] != value).any()
        other[field][where] = value
        with torch.no_grad():
            return not torch.equal(network(**batch), network(**other))

    bond = (batch["spd"] == SPD.encode(1)).nonzero()[0].tolist()
    kind, stereo, conjugated = BOND.decode(int(batch["bond_path"][(*bond, 0)]))
    assert changed("atom_codes", (0, 0, 0), 60)
    assert changed("atom_codes", (0, 0, 1), 4)
    assert changed("bond_path", (*bond, 0), BOND.encode((kind + 1) % 4, stereo, conjugated))
    seen = [changed("atom_codes", (0, 0, feature), 1) for feature in range(2, 9)]
    seen.append(changed("bond_path", (*bond, 0), BOND.encode(kind, stereo, 1 - conjugated)))
    assert set(seen) == {features == "all"}


def test_layers_learn_at_rates_of_their_own(data: Path, tmp_path: Path) -> None:
    network = GinProperty(GinConfig(2, 12), PropertyConfig(1, "regression"))
    depths = dict(
        zip(dict(network.named_parameters()), [depth for _, depth in network.layer_depths()], strict=True)
    )
    assert depths["head.weight"] == 0
    assert depths["view_encoders.2d.layers.1.bonds"] == 1
    assert depths["view_encoders.2d.layers.0.bonds"] == 2
    assert depths["view_encoders.2d.atoms.features.weight"] == 3
    fit(data, tmp_path / "run", "--max-update", 1, "--layer-lr-decay", 0.5)


def test_classes_are_learned_too(tmp_path: Path) -> None:
    data = write_labelled(tmp_path, class_tables(), conformers=0)
    fit(data, tmp_path / "run", "--loss", CLASSES, "--max-update", 2)
    predicted = Predictor.from_checkpoint(tmp_path / "run" / "checkpoint_last.pt").predict_store(
        MoleculeStore(data / "valid.lmdb")
    )
    assert ((predicted >= 0) & (predicted <= 1)).all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"graph_layers": 0}, "--graph-layers 0: give 1 or more"),
        ({"graph_dropout": 1.0}, "--graph-dropout 1: give"),
    ],
)
def test_impossible_sizes_are_named(given: dict[str, float], told: str) -> None:
    with pytest.raises(MoleblendError, match=told):
        GinConfig(**given)  # type: ignore[arg-type]
