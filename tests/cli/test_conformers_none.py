"""`--conformers none` means the same everywhere."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin import MoleblendEmbedder, MoleblendRegressor
from moleblend_plugin.bench.spec.config import load_config
from moleblend_plugin.chem.geometry.conformer_count import parse_conformers
from moleblend_plugin.cli.main import main
from moleblend_plugin.errors import MoleblendError
from tests.checkpoints import property_checkpoint


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that sees 2D and 3D."""
    return property_checkpoint(tmp_path_factory.mktemp("model") / "y.pt", mode="both")


def run(*arguments: Path | int | str) -> int:
    """Exit code of the command line in this process."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


@pytest.mark.parametrize(("given", "count"), [("none", None), (" None ", None), ("3", 3), (2, 2)])
def test_words(given: int | str, count: int | None) -> None:
    assert parse_conformers(given) == count


@pytest.mark.parametrize("given", ["0", 0, -1, "many", "", "1.5", True, None])
def test_other_words(given: int | str | None) -> None:
    with pytest.raises(MoleblendError, match="give a number from 1, or none"):
        parse_conformers(given)


@pytest.mark.parametrize(("command", "ending"), [("predict", "csv"), ("embed", "npz"), ("score", "csv")])
def test_commands_take_it(
    both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, ending: str
) -> None:
    (tmp_path / "in.csv").write_text("smiles,y\nCCO,1\nCCN,2\n")
    given = ("--out", tmp_path / f"out.{ending}", "--workers", 1, "--device", "cpu", "--conformers", "none")
    assert run(command, both, tmp_path / "in.csv", *given) == 0
    shown = capsys.readouterr()
    assert "3D of the input kept, no conformers made, as asked" in shown.err
    if command != "score":
        assert "2  of them without 3D: the network saw their 2D" in shown.out


def test_estimators_take_it(both: Path, tmp_path: Path) -> None:
    smiles = ["CCO", "CCN"]
    (tmp_path / "in.smi").write_text("\n".join(smiles))
    given = ("--out", tmp_path / "out.csv", "--workers", 1, "--device", "cpu", "--conformers", "none")
    assert run("predict", both, tmp_path / "in.smi", *given) == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        expected = [float(row["predicted_y"]) for row in csv.DictReader(file)]
    model = MoleblendRegressor.load(both, conformers="none", device="cpu")
    np.testing.assert_allclose(model.predict(smiles), expected, rtol=1e-6)
    assert np.abs(model.set_params(conformers=1).predict(smiles) - expected).max() > 0
    flat, tall = (
        MoleblendEmbedder(str(both), conformers=count, device="cpu").transform(smiles)
        for count in ("none", 1)
    )
    assert np.abs(flat - tall).max() > 0
    quick = {"checkpoint": None, "epochs": 1, "device": "cpu", "validation_fraction": 0}
    fitted = MoleblendRegressor(conformers="none", **quick).fit(smiles, [1.0, 2.0])
    alike = MoleblendRegressor(input_mode="2d", **quick).fit(smiles, [1.0, 2.0])
    np.testing.assert_allclose(fitted.predict(smiles), alike.predict(smiles), rtol=1e-5)
    with pytest.raises(ValueError, match="--conformers 0: give a number from 1, or none"):
        MoleblendRegressor(conformers=0).fit(smiles, [1.0, 2.0])


BENCH = """
[[sets]]
name = "a"
table = "a.csv"
split = "random"
metric = "rmse"
smiles_column = "s"
target_columns = ["y"]
conformers = {conformers}
[[models]]
name = "rf"
kind = "ecfp4-rf"
"""


def test_a_comparison_takes_it_and_the_build_s_spelling(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("s,y\nC,1\n")
    (tmp_path / "b.toml").write_text(BENCH.format(conformers='"none"'))
    (spec,) = load_config(tmp_path / "b.toml").sets
    assert (spec.conformers, spec.smiles, spec.targets) == ("none", "s", ("y",))
    (tmp_path / "b.toml").write_text(BENCH.format(conformers='"many"'))
    with pytest.raises(
        MoleblendError, match=r"\(a\): conformers = 'many' should be a number from 1, or none"
    ):
        load_config(tmp_path / "b.toml")
