"""Descriptors as a head reads them: by name, scaled, and only where RDKit computes as it did in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moleblend_plugin.data.descriptor_probe import check_same_descriptors, described
from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.head_inputs import HeadInputs
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float32Array, MoleculeRecord
from tests.molecules import make_record

NAMES = ("weight", "rings", "charge")
NAN = float("nan")
TABLE = np.array([[1, 0, 2], [3, 0, 4], [5, 0, NAN]], np.float32)
SCALE = DescriptorScale.fit(TABLE, NAMES, "RDKit 1").to_plain()


def record_with(*values: float) -> MoleculeRecord:
    return replace(make_record(3), descriptors=np.array(values, np.float32))


def test_values_are_found_by_name_and_scaled() -> None:
    straight = HeadInputs.of(SCALE, NAMES, "it")(record_with(5, 0, 4))
    np.testing.assert_allclose(straight, [np.sqrt(1.5), 0, 1], rtol=1e-6)
    other = HeadInputs.of(SCALE, ("charge", "new", "rings", "weight"), "it")(record_with(4, 99, 0, 5))
    np.testing.assert_array_equal(other, straight)


def test_what_is_missing_or_was_always_the_same_is_the_mean() -> None:
    read = HeadInputs.of(SCALE, NAMES, "it")(record_with(NAN, 7, 3))
    np.testing.assert_array_equal(read, [0, 0, 0])


def test_missing_names_are_told() -> None:
    with pytest.raises(
        MoleblendError, match=r"^x.lmdb lacks descriptors that the network reads: weight, charge;"
    ):
        HeadInputs.of(SCALE, ("rings",), "x.lmdb")


def test_a_record_without_is_told() -> None:
    with pytest.raises(MoleblendError, match=r"made:0 has no descriptors: build again with .*--descriptors"):
        HeadInputs.of(SCALE, NAMES, "it")(make_record(3))


PROBE = np.array([[100, 2, NAN], [50, 0, 0.5]], np.float32)


def probed(
    toolkit: str = "RDKit 2", values: Float32Array = PROBE, names: tuple[str, ...] = NAMES
) -> dict[str, object]:
    return described(names, toolkit, ("C", "N"), values)


def test_rounding_and_order_are_no_difference() -> None:
    ours = probed("RDKit 1")
    check_same_descriptors(ours, ours, "here")
    check_same_descriptors(ours, probed(values=PROBE * np.float32(1.00001)), "here")
    check_same_descriptors(ours, probed(values=PROBE[:, ::-1], names=NAMES[::-1]), "here")
    wider = np.column_stack((PROBE[:, :1], [7, 7], PROBE[:, 1:]))
    check_same_descriptors(ours, probed(values=wider, names=("weight", "new", "rings", "charge")), "here")


@pytest.mark.parametrize(
    ("place", "value", "name"), [((0, 1), 3, "rings"), ((1, 2), NAN, "charge"), ((0, 2), 0, "charge")]
)
def test_what_differs_is_named_with_both_versions(place: tuple[int, int], value: float, name: str) -> None:
    theirs = PROBE.copy()
    theirs[place] = value
    with pytest.raises(MoleblendError) as told:
        check_same_descriptors(
            probed("RDKit 2023.09.1"), probed("RDKit 2026.09.1", theirs), "this installation"
        )
    assert str(told.value) == (
        "the network reads descriptors of RDKit 2023.09.1, and those of this installation (RDKit 2026.09.1) "
        f"differ in {name}: install rdkit==2023.09.1, or build the training data and fine-tune again"
    )


def test_without_a_probe_versions_must_agree() -> None:
    without = {"names": list(NAMES), "toolkit": "RDKit 1"}
    check_same_descriptors(without, probed("RDKit 1"), "here")
    with pytest.raises(MoleblendError, match="RDKit 1, here has those of RDKit 2, and whether they"):
        check_same_descriptors(without, probed(), "here")


@pytest.mark.parametrize("values", ["", "####", "eJwDAAAAAAE="])
def test_a_damaged_probe(values: str) -> None:
    damaged = probed() | {"probe": {"smiles": ["C", "N"], "values": values}}
    with pytest.raises(MoleblendError, match="the probe of descriptors is damaged"):
        check_same_descriptors(probed(), damaged, "here")
