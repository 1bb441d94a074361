"""The stores of a comparison, and what their parts share."""

from __future__ import annotations

import json
from pathlib import Path

from moleblend_plugin.bench.run.stores import ABOUT, ensure_stores, shared_with_test
from moleblend_plugin.bench.spec.config import load_config
from moleblend_plugin.data.store.reader import MoleculeStore

CONFIG = """
conformers = "none"
[[sets]]
name = "few"
table = "few.csv"
split = "column:part"
targets = ["y"]
metric = "mae"
[[models]]
name = "forest"
kind = "ecfp4-rf"
"""

ROWS = [
    ("CCO", 1, "train"),
    ("OCC", 2, "test"),  # the first molecule with another label
    ("C[C@H](N)O", 3, "valid"),
    ("C[C@@H](N)O", 3, "test"),  # its mirror image counts as the same molecule
    ("Cc1ccccc1", 4, "train"),
    ("Oc1ccccc1", 5, "test"),  # a scaffold of train
]


def write_set(folder: Path, config: str = CONFIG) -> Path:
    """A set of six molecules, and the comparison's file."""
    lines = ["smiles,y,part", *(f"{smiles},{y},{part}" for smiles, y, part in ROWS)]
    (folder / "few.csv").write_text("\n".join(lines) + "\n")
    (folder / "b.toml").write_text(config)
    return folder / "b.toml"


def test_what_parts_share_with_test_is_counted_and_kept(tmp_path: Path) -> None:
    spec = load_config(write_set(tmp_path), None, {}, ()).sets[0]
    expected = {
        "train": {"molecules": 1, "conflicts": 1, "scaffolds": 1},
        "valid": {"molecules": 1, "conflicts": 0, "scaffolds": 0},
    }
    assert ensure_stores(spec, tmp_path, 1).new
    assert shared_with_test(tmp_path, "few") == expected
    about = tmp_path / "stores" / "few" / ABOUT
    told = json.loads(about.read_text())
    about.write_text(json.dumps({key: value for key, value in told.items() if key != "shared"}))
    assert not ensure_stores(spec, tmp_path, 1).new  # stores of an older version are not built again
    assert shared_with_test(tmp_path, "few") == expected


def test_heads_that_read_descriptors_get_stores_that_hold_them(tmp_path: Path) -> None:
    ours = """[[models]]
name = "ours"
kind = "ours"
arch = "moleblend_property_tiny"
flags = ["--molecule-featurizers", "descriptors"]
"""
    config = load_config(write_set(tmp_path, CONFIG + ours), None, {}, ())
    assert [model.featurizers for model in config.models] == [(), ("descriptors",)]
    spec, train = config.sets[0], tmp_path / "stores" / "few" / "train.lmdb"
    assert ensure_stores(spec, tmp_path, 1).new
    assert "descriptors" not in MoleculeStore(train).meta.settings
    assert ensure_stores(spec, tmp_path, 1, ("descriptors",)).new
    assert MoleculeStore(train)[0].descriptors is not None
    assert not ensure_stores(spec, tmp_path, 1).new  # what holds more serves as well
