"""Which codes a run sees: of today's by default, of its checkpoint, and of a store of format 2."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.samples.input_codes import input_codes_of
from moleblend_plugin.data.store.reader import MoleculeStore, StoreWriter
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.tasks.check_input_codes import choose_input_codes
from moleblend_plugin.vocab import CHIRALITY
from tests.labelled import SMALL, fit, options

OLD_STORE = Path(__file__).parents[1] / "data" / "stores" / "format_2.lmdb"
"""Built by this package before it had labels, of :data:`OLD_ROWS`."""
OLD_ROWS = ("N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O", "C/C=C\\C", "OC1CCC=CC1", "[2H][C@H](C)O", "CCO")

L_ALANINE = ("N[C@@H](C)C(=O)O", "C[C@H](N)C(=O)O", "OC(=O)[C@H](C)N")
D_ALANINE = ("N[C@H](C)C(=O)O", "C[C@@H](N)C(=O)O")
RING = ("OC1CCC=CC1C(=O)N", "NC(=O)C1C=CCCC1O", "C1(C(N)=O)C=CCCC1O")


def records(*smiles: str) -> list[MoleculeRecord]:
    made = [convert_molecule(text, row, ConversionConfig(None)) for row, text in enumerate(smiles)]
    return [record for record in made if isinstance(record, MoleculeRecord)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled stores of chiral molecules."""
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "valid"):
        with StoreWriter(
            folder / f"{split}.lmdb", settings={}, sources={}, split=split, target_names=("y",)
        ) as writer:
            for number, record in enumerate(records(*L_ALANINE, *D_ALANINE, *RING) * 2):
                record.targets.resize(1, refcheck=False)
                record.targets[0] = number
                writer.add(record)
    return folder


@pytest.fixture(scope="module")
def old_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    for split in ("train", "valid"):
        (folder / f"{split}.lmdb").write_bytes(OLD_STORE.read_bytes())
    return folder


def pretrained(folder: Path, **told: object) -> Path:
    """A pretrained checkpoint; without ``input_codes`` it is as those of before."""
    args = options(folder, task="moleblend_pretrain")
    vars(args).pop("input_codes", None)
    path = folder / "pretrained.pt"
    # Ten times the fresh values, of 0.02: with those, a prediction shows hardly anything of the atoms.
    weights = {
        name: (10 if one.dim() == 2 else 1) * one for name, one in MoleBlend(SMALL).state_dict().items()
    }
    torch.save({"model": weights, "args": Namespace(**vars(args), **told)}, path)
    return path


def codes_of_run(run: Path) -> str:
    return str(read_checkpoint(run / "checkpoint_last.pt")["args"].input_codes)


def predicted(run: Path, *smiles: str) -> np.ndarray:
    found = Predictor.from_checkpoint(run / "checkpoint_last.pt", "cpu").predict_records(records(*smiles))
    return np.array(list(found))[:, 0]


def test_a_new_run_predicts_the_same_for_every_writing(data: Path, tmp_path: Path) -> None:
    fit(data, tmp_path, "--max-epoch", 8, "--lr", "1e-2")
    assert codes_of_run(tmp_path) == "invariant"
    left, right, ring = (predicted(tmp_path, *each) for each in (L_ALANINE, D_ALANINE, RING))
    for same in (left, right, ring):
        np.testing.assert_allclose(same, same[0], rtol=1e-5)
    assert abs(left[0] - right[0]) > 5 * max(np.ptp(left), np.ptp(right), 1e-6)  # mirror images


def test_weights_of_before_go_on_seeing_what_they_were_trained_on(data: Path, tmp_path: Path) -> None:
    start = pretrained(tmp_path)
    fit(data, tmp_path / "run", "--max-epoch", 1, "--finetune-from-model", start)
    assert codes_of_run(tmp_path / "run") == "published"
    assert Embedder.from_checkpoint(start, "mean", "cpu").input_codes == "published"
    # Alanine written in two ways has two codes for these weights, as it had when they were trained.
    first, second = predicted(tmp_path / "run", *L_ALANINE[:2])
    assert abs(first - second) > 1e-5  # far above what rounding makes of two equal inputs


def test_fine_tuning_takes_the_codes_of_its_weights_or_those_asked_for(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = MoleculeStore(data / "train.lmdb")
    new, old = pretrained(tmp_path, input_codes="invariant"), pretrained_elsewhere(tmp_path)
    for start, asked, chosen in (
        (new, None, "invariant"),
        (old, None, "published"),
        (old, "invariant", "invariant"),
        (new, "published", "published"),
    ):
        args = Namespace(save_dir=str(tmp_path / "x"), finetune_from_model=str(start), input_codes=asked)
        choose_input_codes(args, store)
        assert args.input_codes == chosen
    assert caplog.text.count("learned again") == 2


def pretrained_elsewhere(folder: Path) -> Path:
    (folder / "before").mkdir()
    return pretrained(folder / "before")


def test_going_on_with_other_codes_is_one_line(data: Path, tmp_path: Path) -> None:
    fit(data, tmp_path, "--max-epoch", 1)
    with pytest.raises(MoleblendError, match="was trained on invariant; leave the flag out"):
        fit(data, tmp_path, "--max-epoch", 2, "--input-codes", "published")
    fit(data, tmp_path, "--max-epoch", 2)
    assert codes_of_run(tmp_path) == "invariant"


def test_a_run_of_before_goes_on_as_it_began(data: Path, tmp_path: Path) -> None:
    fit(data, tmp_path, "--max-epoch", 1, "--input-codes", "published")
    state = read_checkpoint(tmp_path / "checkpoint_last.pt")
    del state["args"].input_codes
    torch.save(state, tmp_path / "checkpoint_last.pt")
    fit(data, tmp_path, "--max-epoch", 2)
    assert codes_of_run(tmp_path) == "published"


def test_a_store_of_format_2_is_read_as_it_was(old_folder: Path) -> None:
    """What a model of before sees of it is what it sees of the same rows built today."""
    store = MoleculeStore(old_folder / "train.lmdb")
    assert (store.meta.schema_version, len(store)) == (2, 6)
    for old, new in zip(store, records(*OLD_ROWS), strict=True):
        assert old.ogb_chirality is None
        was, now = featurize(old, 0, "published"), featurize(new, 0, "published")
        np.testing.assert_array_equal(was.atom_codes, now.atom_codes)
        np.testing.assert_array_equal(was.bond_path, now.bond_path)
    assert [store[row].atom_codes[1, CHIRALITY] for row in (0, 1)] == [1, 2]  # (counter-)clockwise


def test_training_on_a_store_of_format_2_says_what_it_sees(
    old_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(old_folder, tmp_path, "--max-epoch", 1, "--target-columns", "y")
    assert codes_of_run(tmp_path) == "published"
    assert "is of format 2" in caplog.text


def test_labels_that_a_store_lacks_are_refused_in_one_line(
    data: Path, old_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(MoleblendError, match="holds no CIP labels.*build it again"):
        fit(old_folder, tmp_path / "a", "--max-epoch", 1, "--input-codes", "invariant")
    start = pretrained(tmp_path, input_codes="invariant")
    with pytest.raises(MoleblendError, match="holds no CIP labels.*build it again"):
        fit(old_folder, tmp_path / "b", "--max-epoch", 1, "--finetune-from-model", start)
    fit(data, tmp_path / "c", "--max-epoch", 1)
    predictor = Predictor.from_checkpoint(tmp_path / "c" / "checkpoint_last.pt", "cpu")
    with pytest.raises(MoleblendError, match=r"six.csv:\d comes from a store of format 2"):
        list(predictor.predict_records(MoleculeStore(old_folder / "train.lmdb")))


def test_unknown_codes_in_a_checkpoint_are_named() -> None:
    assert input_codes_of(Namespace()) == "published"
    with pytest.raises(MoleblendError, match="input codes 'of tomorrow', which are unknown here"):
        input_codes_of(Namespace(input_codes="of tomorrow"))
