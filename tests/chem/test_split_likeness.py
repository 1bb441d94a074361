"""How molecules of parts are alike, on few enough to count by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moleblend_plugin.splits import likeness_report as module
from moleblend_plugin.splits.likeness_report import LIKENESS_KINDS
from moleblend_plugin.splits.report import PartIdentities, identify, split_report

NAN = float("nan")


def part(name: str, *rows: tuple[str, float]) -> PartIdentities:
    """A part of (SMILES, label)."""
    return PartIdentities(
        [identify(smiles) for smiles, _ in rows],
        [f"{name}:{number}" for number in range(len(rows))],
        [np.array([label], float) for _, label in rows],
    )


@pytest.fixture
def report() -> dict[
    str, dict[str, dict[str, dict[str, int | object] | int | list[object]] | list[Any] | str]
]:
    parts = {
        "train": part(
            "a",
            ("[CH3:2][CH2:1][OH:7]", 1.0),  # 0: ethanol with maps
            ("C[C@H](N)C(=O)O", 2.0),  # 1: alanine
            ("CCCCCC(=O)O", 1.0),  # 2: hexanoic acid
            ("Oc1ccccn1", 4.0),  # 3: 2-hydroxypyridine
            ("[2H]OC", NAN),  # 4: methanol with deuterium
            ("OCC", 1.5),  # 5: ethanol again
        ),
        "test": part(
            "b",
            ("CCO", 1.0),  # 0
            ("C[C@@H](N)C(=O)O", 2.0),  # 1: the mirror image
            ("CCCCCC(=O)[O-].[Na+]", 0.0),  # 2
            ("O=c1cccc[nH]1", 4.5),  # 3
            ("CO", 3.0),  # 4
            ("CCCCCC(=O)[O-].[K+]", 7.0),  # 5
        ),
    }
    return split_report(parts, ("y",))


def counts(
    found: dict[str, dict[str, dict[str, dict[str, object] | int] | int | list[dict[str, object | str]]]],
) -> dict[str, tuple[int, ...]]:
    return {kind: (facts["groups"], *facts["molecules"].values()) for kind, facts in found.items()}


def test_every_pair_is_alike_in_one_way(
    report: dict[str, dict[str, dict[str, dict[str, int | object] | int | list[object]] | list[Any] | str]],
) -> None:
    assert counts(report["pairs"]["train-test"]["likeness"]) == {
        "molecule": (1, 2, 1),
        "isotopes": (1, 1, 1),
        "stereoisomers": (1, 1, 1),
        "salts": (1, 1, 2),
        "tautomers": (1, 1, 1),
    }
    assert counts(report["parts"]["train"]["likeness"]) == {
        kind: (int(kind == "molecule"), 2 * (kind == "molecule")) for kind in LIKENESS_KINDS
    }
    assert counts(report["parts"]["test"]["likeness"])["salts"] == (1, 2)  # sodium and potassium


def test_labels_that_contradict_are_told_by_kind(
    report: dict[str, dict[str, dict[str, dict[str, int | object] | int | list[object]] | list[Any] | str]],
) -> None:
    alike = report["pairs"]["train-test"]["likeness"]
    gaps = {
        kind: facts["conflicts"]["tasks"].get("y", {}).get("largest_gap") for kind, facts in alike.items()
    }
    # ethanol 1.5 - 1; methanol's label is unknown in train; alanine agrees; the acid 7 - 1; the tautomers 0.5
    assert gaps == {"molecule": 0.5, "isotopes": None, "stereoisomers": None, "salts": 6.0, "tautomers": 0.5}
    assert report["parts"]["test"]["likeness"]["salts"]["conflicts"] == {
        "groups": 1,
        "tasks": {"y": {"groups": 1, "largest_gap": 7.0}},
    }
    assert alike["salts"]["examples"] == [
        {
            "smiles": "CCCCCC(=O)O",
            "row_ids": {"train": ["a:2"], "test": ["b:2", "b:5"]},
            "conflicts": ["y"],
        }
    ]
    assert alike["tautomers"]["examples"][0]["row_ids"] == {"train": ["a:3"], "test": ["b:3"]}


def test_the_same_molecule_does_not_make_a_gap_between_its_kinds() -> None:
    # The labels of the acid differ within the acid only; against its salt both are 1 away.
    parts = {
        "train": part("a", ("CCC(C)C(=O)O", 0), ("OC(=O)C(C)CC", 2)),
        "test": part("b", ("CCC(C)C(=O)[O-].[Na+]", 1)),
    }
    report = split_report(parts, ("y",))
    salts = report["pairs"]["train-test"]["likeness"]["salts"]
    assert salts["conflicts"]["tasks"]["y"]["largest_gap"] == 1.0
    assert report["parts"]["train"]["likeness"]["molecule"]["conflicts"]["tasks"]["y"]["largest_gap"] == 2.0
    assert report["parts"]["train"]["likeness"]["salts"]["groups"] == 0


def test_a_salt_in_both_parts_is_the_same_molecule_only() -> None:
    parts = {name: part(name, ("CCCCCC(=O)[O-].[Na+]", 1)) for name in ("train", "test")}
    alike = split_report(parts, ("y",))["pairs"]["train-test"]["likeness"]
    assert counts(alike)["molecule"] == (1, 1, 1)
    assert counts(alike)["salts"] == (0, 0, 0)


def test_texts_of_another_version_of_rdkit_are_written_anew() -> None:
    # Not as this version writes them: no two texts are equal.
    parts = {
        "train": part("a", ("C(O)C", 1), ("C(=C\\c1ccccc1)/c1ccccc1", 1)),
        "test": part("b", ("OCC", 1), ("c1ccccc1/C=C/c1ccccc1", 1)),
    }
    report = split_report(parts, ("y",))["pairs"]["train-test"]
    assert report["likeness"]["molecule"]["groups"] == 2
    assert report["duplicates"]["groups"] == 2
    assert report["scaffolds"]["chiral"]["shared"] == 1


def test_a_molecule_that_this_version_does_not_read_is_like_its_text_only() -> None:
    parts = {"train": part("a", ("no molecule", 1), ("CC", 1)), "test": part("b", ("no molecule", 2))}
    report = split_report(parts, ("y",))
    assert report["pairs"]["train-test"]["likeness"]["molecule"]["groups"] == 1
    assert report["parts"]["train"]["without_rings"] == 2


def test_examples_are_capped_and_counts_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXAMPLES", 2)
    rows = [("C" * n, 0) for n in range(1, 6)]
    alike = split_report({"train": part("a", *rows), "test": part("b", *rows)}, ("y",))["pairs"]["train-test"]
    assert alike["likeness"]["molecule"]["groups"] == 5
    assert len(alike["likeness"]["molecule"]["examples"]) == 2
