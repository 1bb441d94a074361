"""Descriptors and fingerprints as a head reads them, only where RDKit computes as it did in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from moleblend_plugin.data.descriptor_scale import DescriptorScale
from moleblend_plugin.data.feature_probe import check_same_descriptors, check_same_ecfp, described
from moleblend_plugin.data.head_inputs import HeadInputs
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Float32Array, MoleculeRecord
from tests.molecules import make_record

NAMES = ("weight", "rings", "charge")
NAN = float("nan")
TABLE = np.array([[1, 0, 2], [3, 0, 4], [5, 0, NAN]], np.float32)
SCALE = DescriptorScale.fit(TABLE, NAMES, "RDKit 1").to_plain()


def reading(names: Sequence[str], where: str = "it") -> HeadInputs:
    """Descriptors of records that have those of ``names``."""
    return HeadInputs.of({"descriptors": SCALE}, {"descriptors": SCALE | {"names": list(names)}}, where)


def record_with(*values: float) -> MoleculeRecord:
    return replace(make_record(3), descriptors=np.array(values, np.float32))


def test_values_are_found_by_name_and_scaled() -> None:
    straight = reading(NAMES)(record_with(5, 0, 4))
    np.testing.assert_allclose(straight, [np.sqrt(1.5), 0, 1], rtol=1e-6)
    other = reading(("charge", "new", "rings", "weight"))(record_with(4, 99, 0, 5))
    np.testing.assert_array_equal(other, straight)


def test_what_is_missing_or_was_always_the_same_is_the_mean() -> None:
    read = reading(NAMES)(record_with(NAN, 7, 3))
    np.testing.assert_array_equal(read, [0, 0, 0])


def test_missing_names_are_told() -> None:
    with pytest.raises(
        MoleblendError, match=r"^x.lmdb lacks descriptors that the network reads: weight, charge;"
    ):
        reading(("rings",), "x.lmdb")


ECFP = {"radius": 2, "bits": 6, "toolkit": "RDKit 1", "probe": "abc"}


def test_counts_stand_in_their_columns_after_the_descriptors() -> None:
    record = replace(record_with(5, 0, 4), ecfp=np.array([[1, 1], [4, 3]], np.uint16))
    ecfp = HeadInputs.of({"ecfp": ECFP}, {"ecfp": ECFP}, "it")(record)
    np.testing.assert_allclose(ecfp, np.log([1, 2, 1, 1, 4, 1]), rtol=1e-6)
    both = HeadInputs.of({"descriptors": SCALE, "ecfp": ECFP}, {"descriptors": SCALE, "ecfp": ECFP}, "it")
    np.testing.assert_array_equal(both(record), [*reading(NAMES)(record), *ecfp])
    assert both(record).dtype == np.float32
    with pytest.raises(
        MoleblendError, match="x.lmdb holds no ecfp; build it again with 'moleblend build --ecfp'"
    ):
        HeadInputs.of({"ecfp": ECFP}, {"descriptors": SCALE, "ecfp": None}, "x.lmdb")  # type: ignore[dict-item]
    with pytest.raises(MoleblendError, match="made:0 has no ecfp: build again with 'moleblend build --ecfp'"):
        HeadInputs.of({"ecfp": ECFP}, {"ecfp": ECFP}, "it")(make_record(3))


def test_fingerprints_that_differ_are_refused() -> None:
    check_same_ecfp(ECFP, ECFP | {"toolkit": "RDKit 2"}, "here")
    without = {name: value for name, value in ECFP.items() if name != "probe"}
    check_same_ecfp(ECFP, without, "here")
    for other in (ECFP | {"probe": "abd"}, ECFP | {"bits": 7}, without | {"toolkit": "RDKit 2"}):
        with pytest.raises(
            MoleblendError,
            match=r"reads fingerprints of RDKit 1, and those of here .* differ: install rdkit==1",
        ):
            check_same_ecfp(ECFP, other, "here")


def test_a_record_without_is_told() -> None:
    with pytest.raises(MoleblendError, match=r"made:0 has no descriptors: build again with .*--descriptors"):
        reading(NAMES)(make_record(3))


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
