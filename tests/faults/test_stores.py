"""Stores with flipped or missing bytes: every row is refused, left out, or what was written."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from moleblend_plugin.data.batches.dataset import BlendedMolecules
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.data.store.record_codec import encode_record
from moleblend_plugin.errors import MoleblendError
from tests.faults.flips import count_outcomes, flip, truncate
from tests.molecules import make_record
from tests.tasks.test_pretrain import write_stores
from tests.trainers import EMBEDDED, launch, logged, train

SIZES = [1 + (7 * number) % 40 for number in range(100)]
WRITTEN = [encode_record(make_record(size, number)) for number, size in enumerate(SIZES)]


def outcome_of(path: Path) -> str:
    """Read a store as a data set does: open it, then every row."""
    try:
        store = MoleculeStore(path)
    except MoleblendError as error:
        return "refused" if "\n" not in str(error) and str(path) in str(error) else "WRONG"
    if len(store) != len(SIZES) or store.n_atoms.tolist() != SIZES:
        return "WRONG"
    left_out = 0
    for number, written in enumerate(WRITTEN):
        try:
            if encode_record(store[number]) != written:
                return "WRONG"
        except MoleblendError as error:
            if f"{number:010d}" not in str(error):
                return "WRONG"
            left_out += 1
    return "left out" if left_out else "unchanged"


def test_flipped_and_missing_bytes_never_pass(tmp_path: Path, flips: int) -> None:
    path = write_stores(tmp_path, {"train": SIZES}) / "train.lmdb"
    flipped = count_outcomes(path, outcome_of, flips, seed=21)
    cut = count_outcomes(path, outcome_of, flips // 5, seed=22, damage=truncate)
    print(f"\nstore: {flips} flipped bytes {dict(flipped)}, {flips // 5} cut off {dict(cut)}")
    assert set(flipped) <= {"refused", "left out", "unchanged"}
    assert flipped["left out"] > 0.3 * flips
    assert cut == {"refused": flips // 5}


def damage_rows(path: Path, rows: list[int]) -> None:
    """Flip a bit in the middle of some rows' values."""
    content = path.read_bytes()
    for row in rows:
        value = encode_record(MoleculeStore(path)[row])
        assert content.count(value) == 1
        middle = len(value) // 2
        content = content.replace(
            value, value[:middle] + flip(value[middle:-8], random.Random(row)) + value[-8:]
        )
    path.unlink()  # another file: readers share one open environment per inode
    path.write_bytes(content)


@pytest.mark.long
def test_training_goes_on_without_damaged_rows(tmp_path: Path) -> None:
    """Of 9 rows in batches of 3 two are damaged: 7 are left, each told once, for any number of workers."""
    (data := tmp_path / "data").mkdir()
    write_stores(data, {"train": [4, 9, 11, 7, 12, 5, 6, 8, 3], "valid": [6, 3]})
    damage_rows(data / "train.lmdb", [3, 7])
    once = ["--batch-size", 3, "--max-epoch", 2]
    alone = train(EMBEDDED, data, tmp_path / "alone", *once)
    several = train(EMBEDDED, data, tmp_path / "several", *once, "--num-workers", 2)
    for log in (alone, several):
        told = [line for line in log.splitlines() if "continuing without this row" in line]
        assert [key for key in ("0000000003", "0000000007") if sum(key in line for line in told) == 1]
        assert len(told) == 2
        assert any("damaged rows so far: 2" in line for line in told)
        assert [line["damaged_rows"] for line in logged(log, "train")] == [2, 2]
        assert sum(line["bsz"] for line in logged(log, "train_inner")[:3]) == 7
    losses = [[line["loss"] for line in logged(log, "train_inner")] for log in (alone, several)]
    assert losses[0] == losses[1]
    strict = launch(EMBEDDED, data, tmp_path / "strict", *once, "--num-workers", 2, "--strict-data")
    assert strict.returncode == 2
    errors = [line for line in strict.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "train.lmdb has a damaged value for key 000000000" in errors[0]
    assert "Traceback" not in strict.stderr


def test_a_batch_of_damaged_rows_is_empty(tmp_path: Path) -> None:
    path = write_stores(tmp_path, {"train": [4, 9, 1]}) / "train.lmdb"
    damage_rows(path, [0, 1])
    dataset = BlendedMolecules(MoleculeStore(path), BlendConfig(), seed=1)
    assert dataset.collate([dataset[0], dataset[1]]) == {}
    batch = dataset.collate([dataset[index] for index in (0, 2, 1, 1)])
    assert batch["index"].tolist() == [2]
    assert len(dataset.damaged) == 2


def test_a_store_without_an_intact_row_is_refused(tmp_path: Path) -> None:
    path = write_stores(tmp_path, {"train": [4]}) / "train.lmdb"
    damage_rows(path, [0])
    dataset = BlendedMolecules(MoleculeStore(path), BlendConfig(), seed=1)
    with pytest.raises(MoleblendError, match="this was the last of 1 rows, and all are damaged"):
        dataset[0]
