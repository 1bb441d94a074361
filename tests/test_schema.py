"""The schema and the code that follows it agree."""

from __future__ import annotations

import re
from inspect import signature

import numpy as np

from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder
from moleblend_plugin.schema import (
    INPUT_FIELDS,
    PAIRS_SHOWN,
    PATH_HOPS,
    RELATIONS,
    TARGET_FIELDS,
    VIEW_FIELDS,
    VIEWS,
    Modality,
    Shown,
)
from moleblend_plugin.vocab import BOND, DEGREE, SPD
from tests.molecules import make_record


def test_the_encoder_takes_exactly_the_input_fields() -> None:
    assert list(signature(MoleBlendEncoder._padded).parameters)[1:] == list(INPUT_FIELDS)


def test_every_field_pads_with_its_vocabulary() -> None:
    for name, vocabulary in (("spd", SPD), ("degree", DEGREE), ("bond_path", BOND)):
        assert INPUT_FIELDS[name].pad == vocabulary.pad
        assert vocabulary.size <= np.iinfo(INPUT_FIELDS[name].dtype).max + 1


def test_shapes_use_the_alphabet() -> None:
    for field in (INPUT_FIELDS | TARGET_FIELDS).values():
        assert re.fullmatch(r"B( N)*( \d+)?|B [EF]", field.shape)
        np.dtype(field.dtype)
    assert INPUT_FIELDS["bond_path"].shape.endswith(str(PATH_HOPS))
    for field in VIEW_FIELDS.values():
        assert re.fullmatch(r"B( [VS]| \d+)*", field.shape)
        np.dtype(field.dtype)


def test_modalities_do_not_overlap() -> None:
    assert list(VIEWS.values()) == list(Modality)
    assert sum(Modality) == Modality.GRAPH | Modality.IMAGE | Modality.GEOMETRY


def test_shown_bits_do_not_overlap() -> None:
    assert [row.shown for row in RELATIONS] == list(Shown)
    assert sum(Shown) == PAIRS_SHOWN["both"] == Shown.SPD | Shown.EDGE | Shown.DISTANCE
    assert PAIRS_SHOWN["2d"] == Shown.SPD | Shown.EDGE
    assert PAIRS_SHOWN["3d"] == Shown.DISTANCE
    assert sum(row.share for row in RELATIONS) == 1


def test_a_record_knows_its_size_and_row() -> None:
    record = make_record(7, seed=3)
    assert (record.n_atoms, record.row_id) == (7, "made:3")
