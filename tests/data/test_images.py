"""Drawings beside a store: what is written is read, and nothing else is taken for it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.chem.draw import draw_all, draw_png
from moleblend_plugin.data.store.image_file import ImageFile, ImageWriter, decode, images_path
from moleblend_plugin.errors import MoleblendError

SMILES = ["CCO", "c1ccccc1N", "C[C@H](N)C(=O)O", "no molecule", "CC(C)=O"]


def write(path: Path, smiles: list[str] = SMILES, store: str = "a", size: int = 48) -> None:
    with ImageWriter(path, store, size) as writer:
        writer.add(draw_all(smiles, size))


def test_drawings_come_back_as_they_were(tmp_path: Path) -> None:
    path = images_path(tmp_path / "train.lmdb")
    assert path.name == "train.images"
    write(path)
    images = pickle.loads(pickle.dumps(ImageFile(path, "a", 5)))  # as worker processes get it
    assert images.size == 48
    assert images[3] is None
    for number in (0, 1, 2, 4):
        drawn = draw_png(SMILES[number], 48)
        assert drawn is not None
        assert np.array_equal(images[number], decode(drawn))
        assert images[number].shape == (3, 48, 48)
        assert images[number].min() < 128 < np.median(images[number])  # dark lines on white


def test_enantiomers_are_drawn_differently() -> None:
    left, right = (decode(draw_png(smiles, 96)) for smiles in ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"))
    assert not np.array_equal(left, right)


def test_an_interrupted_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "train.images"
    write(path, SMILES[:2])
    with pytest.raises(MoleblendError, match=r"2 of 5 molecules; run 'moleblend images .*' to continue"):
        ImageFile(path, "a", 5)
    with ImageWriter(path, "a", 48) as writer:
        assert len(writer) == 2
        writer.add(draw_all(SMILES[2:], 48))
    whole = tmp_path / "whole.images"
    write(whole)
    left, right = (ImageFile(file, "a", 5) for file in (path, whole))
    for number in range(5):
        assert np.array_equal(left[number], right[number])


@pytest.mark.parametrize(("store", "size"), [("b", 48), ("a", 64)])
def test_a_file_of_another_store_or_size_is_not_mixed(tmp_path: Path, store: str, size: int) -> None:
    write(tmp_path / "train.images")
    with pytest.raises(MoleblendError, match="another store or of 48 pixels; add --overwrite"):
        ImageWriter(tmp_path / "train.images", store, size)


def test_mistakes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "train.images"
    with pytest.raises(MoleblendError, match="does not exist: run 'moleblend images"):
        ImageFile(path, "a", 5)
    write(path)
    with pytest.raises(MoleblendError, match="belongs to another store; run .* --overwrite"):
        ImageFile(path, "b", 5)
    path.write_bytes(b"no drawings at all" * 1000)
    with pytest.raises(MoleblendError, match="cannot be read as drawings"):
        ImageFile(path, "a", 5)


def test_a_damaged_drawing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.images"
    drawn = draw_png("CCO", 48)
    with ImageWriter(path, "a", 48) as writer:
        writer.add([drawn])
    content = bytearray(path.read_bytes())
    place = content.index(drawn[100:140])
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(MoleblendError, match="damaged drawing of molecule 0 .*--overwrite"):
        ImageFile(path, "a", 1)[0]
