"""`moleblend inspect`: metadata and one molecule at every stage, in words that can be checked by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.cli._decoded_words import bond_words, farthest_pair, shown_word
from moleblend_plugin.cli.main import main
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.store.reader import MoleculeStore


def run(*arguments: Path | int | str) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two molecules with 3D (a chain with a ring and a double bond; a salt), one bad row."""
    folder = tmp_path_factory.mktemp("inspect")
    source = folder / "mols.csv"
    source.write_text("smiles,y\nCC/C=C/CC#N,1.5\n[NH4+].[Cl-],\nbad(,2\nC1CC1,3\n")
    options = ("--target-columns", "y", "--workers", 1)
    assert run("build", source, "--out", folder / "out", *options) == 0
    assert run("build", source, "--out", folder / "flat", "--conformers", "none", *options) == 0
    return folder


def lines(capsys: pytest.CaptureFixture[str], *arguments: Path | int | str) -> list[str]:
    capsys.readouterr()
    assert run("inspect", *arguments) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def field(shown: list[str], name: str) -> str:
    """Text behind ``name`` in the first line that begins with it."""
    return next(line for line in shown if line.startswith(name)).removeprefix(name).strip()


def test_metadata(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, built / "out" / "train.lmdb")
    meta = MoleculeStore(built / "out" / "train.lmdb").meta
    assert field(shown, "molecules") == "3"
    assert field(shown, "heavy atoms") == "2 to 7, mean 4.0"
    assert field(shown, "targets") == "y"
    assert field(shown, "rejected").startswith("1 rows of the whole build; SMILES syntax: 1")
    assert meta.fingerprint.startswith(field(shown, "fingerprint"))
    assert "conversion.conformers.count=1" in field(shown, "settings")
    assert meta.sources["mols.csv"][:12] in field(shown, "sources")


def test_a_folder_shows_every_split(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("build", built / "mols.csv", "--out", tmp_path / "s", "--workers", 1, "--conformers", "none",
               "--split", "random", "--split-sizes", "0.34,0.33,0.33") == 0  # fmt: skip
    shown = lines(capsys, tmp_path / "s")
    assert [line.split()[-1] for line in shown if line.startswith("split ")] == ["train", "valid", "test"]


def test_one_molecule_in_words(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, built / "out", "--index", 0)
    assert "molecule 0: CC/C=C/CC#N" in shown
    assert field(shown, "from") == "mols.csv:0"
    assert field(shown, "3D") == "1 conformer(s), number 0 shown (ETKDGv3+MMFF94)"
    assert "targets      1.5" in shown
    nitrogen = next(line for line in shown if line.startswith("N6")).split()
    assert nitrogen[:6] == ["N6", "N", "0", "1", "0", "SP"]
    methyl = next(line for line in shown if line.startswith("C0")).split()
    assert methyl[:6] == ["C0", "C", "0", "4", "3", "SP3"]
    assert "C2-C3: double, E" in shown
    assert "C5-N6: triple" in shown


def test_the_farthest_pair_and_its_path(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, built / "out", "--index", 0)
    assert "relations of C0 -> N6" in shown
    assert field(shown, "spd") == "6 bonds"
    hops = [line.removeprefix("edge, hop ") for line in shown if line.startswith("edge, hop")]
    assert hops == ["1  single", "2  single", "3  double, E", "4  single", "5  single"]  # the first five


def test_a_chosen_pair_is_walked_from_its_first_atom(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, built / "out", "--index", 0, "--pair", 6, 4)
    assert "relations of N6 -> C4" in shown
    assert field(shown, "spd") == "2 bonds"
    assert [line for line in shown if line.startswith("edge, hop")] == [
        "edge, hop 1  triple", "edge, hop 2  single",
    ]  # fmt: skip
    record = MoleculeStore(built / "out" / "train.lmdb")[0]
    distance = math.dist(record.coords[0, 6], record.coords[0, 4])
    at = shown.index("edge, hop 2  single")
    assert float(shown[at + 1].split()[1]) == pytest.approx(distance, abs=1e-3)


def test_fragments_have_no_path(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, built / "out", "--index", 1, "--pair", 0, 1)
    assert field(shown, "spd") == "no path (another fragment)"
    assert "targets      missing" in shown
    assert next(line for line in shown if line.startswith("N0")).split()[2] == "+1"


def test_the_blend_counts_every_pair_and_follows_seed_and_epoch(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def blend(*options: object) -> Any:
        shown = lines(capsys, built / "out", "--index", 0, *options)
        start = next(n for n, line in enumerate(shown) if line.startswith("blend of seed"))
        return shown[start:]

    first, again, later = blend(), blend(), blend("--epoch", 2)
    assert first == again
    assert first[2:] != later[2:]
    assert first[0] == "blend of seed 1, epoch 1, index 0: spd 0.2, edge 0.2, 3D 0.6"
    counts = [int(part.split()[0]) for part in first[1].split(": ")[1].split(", ")]
    assert first[1].startswith("of 49 pairs")
    assert sum(counts) == 49
    cells = sum((line.split()[1:] for line in first[3:10]), [])
    assert [cells.count(word) for word in ("spd", "edge", "3D")] == counts
    assert sum("moved by" in line for line in first) == 7


def test_without_3d_no_pair_shows_it(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, built / "flat", "--index", 0)
    assert field(shown, "3D") == "no 3D (no coordinates in the source, none wanted)"
    assert "no 3D: pairs show spd or edge, in their proportions" in shown
    assert "0 show 3D" in next(line for line in shown if line.startswith("of 49 pairs"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("out", "--index", 3), "--index 3: "),
        (("out", "--index", 3), "holds 3 molecules, from 0 to 2"),
        (("out", "--pair", 0, 7), "--pair 0 7: mols.csv:0 has atoms 0 to 6"),
        (("out", "--conformer", 1), "--conformer 1: mols.csv:0 has 1 (from 0)"),
        (("nowhere",), "nowhere does not exist"),
        (("mols.csv",), "cannot be read as a store"),
        ((".",), "holds no train.lmdb, valid.lmdb or test.lmdb"),
    ],
)
def test_a_wrong_request_is_one_line(
    built: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[int | str, ...], words: str
) -> None:
    capsys.readouterr()
    assert run("inspect", built / arguments[0], *arguments[1:]) == 2
    shown = capsys.readouterr().err.strip()
    assert shown.startswith("error: ")
    assert words in shown
    assert "\n" not in shown


def test_a_truncated_store_is_one_line(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (built / "out" / "train.lmdb").read_bytes()
    (tmp_path / "train.lmdb").write_bytes(data[: len(data) - 4096])
    assert run("inspect", tmp_path) == 2
    assert "is truncated" in capsys.readouterr().err


def test_words() -> None:
    assert bond_words((0, 0, 0)) == "single"
    assert bond_words((1, 1, 1)) == "double, Z, conjugated"
    assert bond_words((3, 0, 1)) == "aromatic, conjugated"
    assert bond_words((4, 5, 0)) == "other (dative, ...), any"
    assert [shown_word(bits) for bits in (1, 2, 4, 0, 7)] == ["spd", "edge", "3D", "-", "-"]


def test_the_farthest_pair_ignores_other_fragments(built: Path) -> None:
    store = MoleculeStore(built / "out" / "train.lmdb")
    assert farthest_pair(featurize(store[0])) == (0, 6)
    assert farthest_pair(featurize(store[1])) == (0, 0)
