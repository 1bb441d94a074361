"""What two parts share, on molecules small enough to count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moleblend_plugin.splits import report as module
from moleblend_plugin.splits.report import PartIdentities, identify, split_report

NAN = float("nan")


def part(name: str, *rows: tuple[float | str, ...]) -> PartIdentities:
    """A part of (SMILES, labels)."""
    return PartIdentities(
        [identify(smiles) for smiles, *_ in rows],
        [f"{name}:{number}" for number in range(len(rows))],
        [np.array(labels, float) for _, *labels in rows],
    )


@pytest.fixture
def report() -> dict[
    str, dict[str, dict[str, dict[str, int | object] | int | list[object]] | list[str] | str]
]:
    parts = {
        "train": part(
            "train",
            ("C[C@H](N)C(=O)O", 1, 0.5),
            ("C[C@@H](N)C(=O)O", 1, 2.0),  # the same without stereo: y differs by 1.5
            ("Cc1ccccc1", 0, 1.0),
            ("C1C[C@@H](C2CC2)CO1", NAN, 4.0),
            ("CCO", 0, NAN),
        ),
        "valid": part("valid", ("CCO", 1, 3.0), ("Nc1ccccc1", 1, 1.0)),
        "test": part("test", ("CC(N)C(=O)O", 1, 1.0), ("C1C[C@H](C2CC2)CO1", NAN, 4.0), ("OCC", NAN, 3.0)),
    }
    return split_report(parts, ("active", "y"))


def test_counts_of_a_part(
    report: dict[str, dict[str, dict[str, dict[str, int | object] | int | list[object]] | list[str] | str]],
) -> None:
    train = report["parts"]["train"]
    assert (train["molecules"], train["without_rings"]) == (5, 3)
    assert train["scaffolds"] == {"chiral": 2, "achiral": 2}
    assert train["duplicates"] == {"groups": 1, "molecules": {"train": 2}}
    assert train["conflicts"] == {"groups": 1, "tasks": {"y": {"groups": 1, "largest_gap": 1.5}}}
    assert train["examples"] == [
        {"smiles": "CC(N)C(=O)O", "row_ids": {"train": ["train:0", "train:1"]}, "conflicts": ["y"]}
    ]
    assert report["parts"]["valid"]["duplicates"]["groups"] == 0


def test_labels_of_a_part(
    report: dict[str, dict[str, dict[str, dict[str, int | object] | int | list[object]] | list[str] | str]],
) -> None:
    assert report["kinds"] == {"active": "classes", "y": "values"}
    assert report["parts"]["train"]["tasks"] == {
        "active": {"labels": 4, "missing": 1, "positives": 2, "negatives": 2, "one_class": False},
        "y": {"labels": 4, "missing": 1, "mean": 1.875, "sd": pytest.approx(math.sqrt(1.796875)),
              "min": 0.5, "max": 4.0},
    }  # fmt: skip
    assert report["one_class"] == {"train": [], "valid": ["active"], "test": ["active"]}


def test_scaffolds_in_two_parts(
    report: dict[str, dict[str, dict[str, dict[str, int | object] | int | list[object]] | list[str] | str]],
) -> None:
    pairs = {pair: facts["scaffolds"] for pair, facts in report["pairs"].items()}
    assert list(pairs) == ["train-valid", "train-test", "valid-test"]
    benzene = {"shared": 1, "molecules": {"train": 1, "valid": 1}}
    assert pairs["train-valid"] == {"chiral": benzene, "achiral": benzene}
    assert pairs["train-test"]["chiral"]["shared"] == 0  # mirror images
    assert pairs["train-test"]["achiral"] == {"shared": 1, "molecules": {"train": 1, "test": 1}}
    assert pairs["valid-test"]["achiral"]["shared"] == 0  # ethanol has no scaffold to share


def test_molecules_in_two_parts(
    report: dict[str, dict[str, dict[str, dict[str, int | object] | int | list[object]] | list[str] | str]],
) -> None:
    facts = report["pairs"]["train-valid"]
    assert facts["duplicates"] == {"groups": 1, "molecules": {"train": 1, "valid": 1}}
    # y of ethanol is unknown in train, so only the class contradicts
    assert facts["conflicts"] == {"groups": 1, "tasks": {"active": {"groups": 1, "largest_gap": 1.0}}}
    facts = report["pairs"]["train-test"]
    assert facts["duplicates"] == {"groups": 3, "molecules": {"train": 4, "test": 3}}
    # alanine in test: y = 1 lies between 0.5 and 2 of train; classes agree; the ring's labels agree
    assert facts["conflicts"] == {"groups": 1, "tasks": {"y": {"groups": 1, "largest_gap": 1.0}}}
    assert facts["examples"][0] == {
        "smiles": "CC(N)C(=O)O",
        "row_ids": {"train": ["train:0", "train:1"], "test": ["test:0"]},
        "conflicts": ["y"],
    }


def test_examples_are_capped_and_counts_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXAMPLES", 2)
    rows = [("C" * n, 0) for n in range(1, 6)]
    facts = split_report({"train": part("a", *rows), "test": part("b", *rows)}, ("t",))["pairs"]["train-test"]
    assert facts["duplicates"]["groups"] == 5
    assert len(facts["examples"]) == 2


def test_without_labels_and_without_molecules() -> None:
    report = split_report({"train": part("a", ("C",)), "test": PartIdentities()}, ())
    assert report["parts"]["train"]["tasks"] == {}
    assert report["parts"]["test"]["molecules"] == 0
    assert report["pairs"]["train-test"]["duplicates"]["groups"] == 0
    labels = split_report({"train": part("a", ("C", NAN))}, ("t",))
    assert labels["parts"]["train"]["tasks"]["t"]["one_class"]
    assert labels["one_class"] == {"train": ["t"]}
