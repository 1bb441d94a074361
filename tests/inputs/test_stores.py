"""Molecules of a store as rows: unchanged, unless another 3D is wanted than their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.input_labels import open_labelled
from moleblend_plugin.inference.run_folder import find_part
from moleblend_plugin.inputs import open_molecules, parts_in
from moleblend_plugin.schema import MoleculeRecord, Rejection
from tests.inputs.files import LABELS, write_file

FLAT, ROUND = ConversionConfig(None), ConversionConfig(ConformerConfig(2))


def stored(config: ConversionConfig) -> tuple[MoleculeRecord, RawRow]:
    """A record made by ``config``, and the row that a store gives of it."""
    record = convert(RawRow("old.csv", 7, "OCC", "smiles", (1.0, 2.0)), config)
    assert isinstance(record, MoleculeRecord)
    return record, RawRow("train.lmdb", 3, record.smiles, "smiles", (2.0,), record=record)


def converted(row: RawRow, config: ConversionConfig) -> MoleculeRecord:
    result = convert(row, config)
    assert isinstance(result, MoleculeRecord)
    assert (result.row_id, result.smiles, result.targets.tolist()) == ("train.lmdb:3", "CCO", [2.0])
    return result


@pytest.mark.parametrize(("made", "wanted"), [(FLAT, FLAT), (ROUND, ROUND), (ROUND, FLAT)])
def test_a_molecule_stays_as_it_is(made: ConversionConfig, wanted: ConversionConfig) -> None:
    record, row = stored(made)
    found = converted(row, wanted)
    assert found.coords is record.coords
    assert found.atom_codes is record.atom_codes  # its atoms in the order of OCC
    assert found.coords_from == record.coords_from


def test_3d_that_is_missing_or_not_wanted_is_made_of_the_smiles() -> None:
    _, flat = stored(FLAT)
    coords = converted(flat, ROUND).coords
    assert coords is not None
    assert coords.shape == (2, 3, 3)
    _, with_3d = stored(ROUND)
    assert converted(with_3d, ConversionConfig(None, source_coords=False)).coords is None
    anew = converted(with_3d, ConversionConfig(ConformerConfig(2), source_coords=False)).coords
    np.testing.assert_array_equal(anew, coords)


def test_codes_of_format_2_are_not_passed_on() -> None:
    """Such a molecule is coded anew; its 3D belongs to the old order of atoms, so with 3D it is rejected."""
    record, row = stored(FLAT)
    assert converted(replace(row, record=replace(record, ogb_chirality=None)), FLAT).ogb_chirality is not None
    record, row = stored(ROUND)
    result = convert(replace(row, record=replace(record, ogb_chirality=None)), ROUND)
    assert isinstance(result, Rejection)
    assert "of format 2" in result.reason


@pytest.mark.parametrize("format", ["csv", "sdf.gz", "npz", "unimol", "store"])
def test_labels_of_a_part_of_a_folder(tmp_path: Path, format: str) -> None:
    write_file(tmp_path, format, "my_train")
    write_file(tmp_path, format, "test")
    if format not in ("unimol", "store"):
        assert list(parts_in(tmp_path)) == ["train", "test"]
        with pytest.raises(MoleblendError, match=r"has no valid part \(parts: test, train\)"):
            find_part(tmp_path / "c.pt", None, "valid", tmp_path)
    path = find_part(tmp_path / "c.pt", None, "test", tmp_path).path
    source = open_labelled(path, Columns(targets=("y",), missing_label=3.0))
    assert source.columns.targets == (("target_0",) if format == "unimol" else ("y",))
    labels = [row.targets[0] for row in source]
    assert labels[:3] == list(LABELS[:3])
    assert labels[3] == 3.0 if format == "store" else np.isnan(labels[3])


def test_a_store_cannot_be_asked_for_a_column_of_smiles(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="a store, which has one SMILES per molecule; leave out"):
        open_molecules(write_file(tmp_path, "store"), Columns("text"))
