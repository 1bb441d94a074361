"""``moleblend explain``: the page, the table and the JSON, rows that are no molecules, and bad input."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin import MoleblendRegressor
from moleblend_plugin.chem import ConversionConfig, convert_molecule
from moleblend_plugin.chem.atom_order import molecule_of
from moleblend_plugin.chem.draw_atoms import draw_atoms
from moleblend_plugin.cli import main as command
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.explain import Explainer, Explanation, explain_molecules
from moleblend_plugin.inference.ensemble_file import EnsembleFile, write_ensemble
from moleblend_plugin.schema import MoleculeRecord, Rejection
from tests.checkpoints import property_checkpoint

TABLE = """\
id,smiles,note
a <1>,OCC(=O)N,"first, of two"
b,C1CC,
c,[Na+].[O-]C(=O)[C@@H](N)C,salt
d,,nothing
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt", ("log[S] <x>", "z"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return property_checkpoint(tmp_path_factory.mktemp("model") / "c.pt", ("y",), "classification")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "mols.csv"
    path.write_text(TABLE)
    return path


def run(*arguments: Path | int | str) -> int:
    try:
        command.main(["explain", *map(str, arguments), "--workers", "1", "--device", "cpu"])
    except SystemExit as done:
        return int(done.code or 0)
    return 0


class Text(HTMLParser):
    """Text, and tags with their attributes, of a page whose tags are balanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_table_and_json(
    model: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = [tmp_path / f"out.{ending}" for ending in ("html", "csv", "json")]
    words = [word for out in outs for word in ("--out", out)]
    assert run(model, table, "--method", "both", *words) == 0
    told = capsys.readouterr().out
    assert "explained  2" in told
    assert all(str(out) in told for out in outs)

    told_json = json.loads(outs[2].read_text())
    assert told_json["methods"] == ["occlusion", "integrated-gradients"]
    first, ring, salt, nothing = told_json["molecules"]
    assert first["columns"] == {"id": "a <1>", "smiles": "OCC(=O)N", "note": "first, of two"}
    assert first["symbols"] == ["O", "C", "C", "O", "N"]
    assert salt["symbols"] == ["Na", "O", "C", "O", "C", "N", "C"]  # as it was written
    assert [ring["reason"], nothing["reason"]] == ["SMILES syntax", "empty SMILES"]
    gradients = first["methods"]["integrated-gradients"]
    for name in ("log[S] <x>", "z"):
        wanted = first["explained"][name] - gradients["baseline"][name]
        assert sum(gradients["contributions"][name]) == pytest.approx(wanted, rel=0.01, abs=1e-4)

    with outs[1].open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["row_id"] for row in rows] == (
        ["mols.csv:0"] * 5 + ["mols.csv:1"] + ["mols.csv:2"] * 7 + ["mols.csv:3"]
    )
    assert [row["atom"] for row in rows[:5]] == list("01234")
    assert rows[0]["note"] == "first, of two"
    assert (rows[5]["reason"], rows[5]["occlusion_z"], rows[5]["atom"]) == ("SMILES syntax", "", "")
    of_table = [float(row["occlusion_log[S] <x>"]) for row in rows[:5]]
    assert of_table == pytest.approx(first["methods"]["occlusion"]["contributions"]["log[S] <x>"])

    page = Text(outs[0].read_text(encoding="utf-8"))
    assert page.open == []
    assert sum(tag == "svg" for tag, _ in page.tags) == 2 * 2 * 2
    assert sum(tag == "circle" for tag, _ in page.tags) == (5 + 7) * 2 * 2
    for words_there in ("log[S] <x>", "a <1>", "SMILES syntax", "empty SMILES", "C1CC", "first, of two"):
        assert words_there in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img"}
    assert "http" not in re.sub(r"xmlns\S*=\S*", "", outs[0].read_text(encoding="utf-8"))


def test_classes_in_log_odds_of_one_target(classifier: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.html"
    assert run(classifier, table, "--out", out, "--target", "y", "--max-drawn", 1) == 0
    page = Text(out.read_text(encoding="utf-8"))
    assert "log-odds of y" in page.text
    assert "1 molecules drawn, 1 more in the numbers only, 2 rows without a prediction." in page.text
    assert sum(tag == "svg" for tag, _ in page.tags) == 1


def test_a_file_of_several_networks(model: Path, table: Path, tmp_path: Path) -> None:
    both, single = tmp_path / "both.pt", tmp_path / "single.json"
    write_ensemble(both, EnsembleFile((model.read_bytes(), model.read_bytes())))
    out = tmp_path / "both.json"
    assert run(both, table, "--out", out) == 0
    assert run(model, table, "--out", single) == 0
    of_both, of_one = (json.loads(path.read_text()) for path in (out, single))
    assert of_both["notes"] == ["Contributions are the mean of those of 2 networks."]
    for one, other in zip(of_both["molecules"], of_one["molecules"], strict=True):
        if "reason" not in one:
            parts = [each["methods"]["integrated-gradients"]["contributions"]["z"] for each in (one, other)]
            assert parts[0] == pytest.approx(parts[1], rel=1e-5)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--out", "p.txt"], "use .html or .csv or .tsv or .parquet or .json"),
        (["--out", "p.csv", "--out", "q.tsv"], "--out q.tsv: p.csv is of the same kind; give one of them"),
        (["--out", "no/p.html"], "the folder no does not exist"),
        (["--out", "mols.csv"], "--out mols.csv already exists"),
        (
            ["--out", "p.html", "--method", "shap"],
            "method 'shap': choose from occlusion, integrated",
        ),
        (
            ["--out", "p.html", "--target", "logP"],
            "predicts no target 'logP': choose from log[S] <x>, z",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    words: list[str],
    error: str,
    model: Path,
    table: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(table.parent)
    assert run(model, table, *words) == 2
    told = capsys.readouterr().err
    assert error in told
    assert told.count("\n") == 1
    assert [path.name for path in table.parent.iterdir()] == ["mols.csv"]
    assert table.read_text() == TABLE


def test_a_network_that_predicts_nothing(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("default", table, "--out", table.with_name("p.html")) == 2
    assert "predicts no property" in capsys.readouterr().err


def test_molecules_in_memory(model: Path) -> None:
    found = explain_molecules(model, ["OCC(=O)N", "C1CC"], device="cpu")
    assert isinstance(found[0], Explanation)
    assert found[0].attributions["integrated-gradients"].contributions.shape == (5, 2)
    assert isinstance(found[1], Rejection)
    assert found[1].reason == "SMILES syntax"
    explainer = Explainer.from_checkpoint(model, "cpu")
    (again,) = explain_molecules(explainer.predictor, ["OCC(=O)N"])
    assert isinstance(again, Explanation)
    np.testing.assert_array_equal(
        again.attributions["integrated-gradients"].contributions,
        found[0].attributions["integrated-gradients"].contributions,
    )
    estimator = MoleblendRegressor.load(model, device="cpu")
    (same,) = explain_molecules(estimator, ["OCC(=O)N"], device="cpu")
    assert isinstance(same, Explanation)
    np.testing.assert_array_equal(same.explained, found[0].explained)


def test_an_estimator_that_is_not_fitted() -> None:
    with pytest.raises(ValueError, match="not fitted"):
        explain_molecules(MoleblendRegressor(), ["CC"])


@pytest.mark.parametrize("bad", [{"methods": ["shap"]}, {"targets": ["w"]}])
def test_bad_arguments_in_python(model: Path, bad: dict[str, list[str]]) -> None:
    with pytest.raises(MoleblendError, match="choose from"):
        explain_molecules(model, ["CC"], device="cpu", **bad)  # type: ignore[arg-type]


def test_the_snippet_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "explain.md"
    (snippet,) = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    names: dict[str, list[Explanation]] = {}
    exec(snippet, names)  # type: ignore[arg-type]
    assert names["found"][1].attributions["integrated-gradients"].contributions.shape == (7, 1)
    assert capsys.readouterr().out.startswith("[")


def record_of(smiles: str) -> MoleculeRecord:
    found = convert_molecule(smiles, 0, ConversionConfig(None, source_coords=False))
    assert isinstance(found, MoleculeRecord)
    return found


@pytest.mark.parametrize(
    "smiles", ["OC(=O)c1ccccc1OC(C)=O", "[Na+].[O-]C(=O)[C@@H](N)C", "C", "[2H]OC", "C(\\F)=C/Cl"]
)
def test_a_drawing_has_the_atoms_of_the_input(smiles: str) -> None:
    record = record_of(smiles)
    mol = molecule_of(record)
    assert mol is not None
    numbers = [mol.GetAtomWithIdx(index).GetAtomicNum() for index in range(mol.GetNumAtoms())]
    assert numbers == (record.atom_codes[:, 0] + 1).tolist()
    bonds = {frozenset((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in mol.GetBonds()}
    assert bonds == {frozenset(pair) for pair in record.bonds.tolist()}


def test_discs_say_sign_and_size() -> None:
    record = record_of("OCC")
    drawn = draw_atoms(record, [0.5, -2.0, 0.0], 1.0, ["<O>", "C", "C"])
    found = re.findall(r'<circle class="(\w+)".*?fill-opacity="([\d.]+)"><title>(.*?)</title>', drawn)
    assert found == [("more", "0.38", "&lt;O&gt;"), ("less", "0.75", "C"), ("none", "0.00", "C")]
    assert "#000000" not in drawn
    assert draw_atoms(record_of("C"), [1.0], 1.0, ["C"]).count("<circle") == 1
