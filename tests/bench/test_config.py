"""The file of a comparison: what it means, and one line for every mistake in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from moleblend_plugin.bench.report.summary import Plan
from moleblend_plugin.bench.spec.cell_spec import planned_cells
from moleblend_plugin.bench.spec.config import BenchConfig, load_config
from moleblend_plugin.errors import MoleblendError

GOOD = """
data = "tables"
seeds = [3, 5]
conformers = 2

[training]
epochs = 7

[[sets]]
name = "esol"
table = "esol.csv"
split = "rows:esol.json"
training = { lr = 1 }

[[sets]]
name = "mine"
table = "mine.csv"
split = "random"
targets = ["y"]
metric = "mae"
conformers = "none"

[[models]]
name = "fine"
kind = "ours"
pretrained = true
training = { epochs = 9 }
flags = ["--freeze-layers", "2"]
grid = { lr = [1e-4, 1e-3] }

[[models]]
name = "forest"
kind = "ecfp4-rf"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    for name in ("tables/esol.csv", "tables/mine.csv", "tables/esol.json", "weights.pt"):
        (tmp_path / name).write_text("")
    return tmp_path


def load(folder: Path, text: str = GOOD, **named: str) -> BenchConfig:
    path = folder / "bench.toml"
    path.write_text(text)
    return load_config(
        path,
        checkpoints={name: folder / file for name, file in named.items()} or {"fine": folder / "weights.pt"},
    )


def test_the_nearest_number_wins(folder: Path) -> None:
    config = load(folder)
    esol, mine = config.sets
    assert (esol.training.lr, esol.training.epochs, esol.training.batch) == (1.0, 7, 256)
    assert type(esol.training.lr) is float
    assert (esol.metric, esol.loss, esol.smiles) == ("rmse", "mse", "smiles")
    assert esol.targets == ("measured log solubility in mols per litre",)
    assert esol.split == f"rows:{folder / 'tables' / 'esol.json'}"
    assert (esol.conformers, mine.conformers) == ("2", "none")
    assert (mine.kind, mine.targets, mine.training.lr, mine.training.epochs) == (
        "regression",
        ("y",),
        1e-4,
        7,
    )
    fine, forest = config.models
    assert (fine.checkpoint, fine.training, fine.grid) == (
        folder / "weights.pt",
        {"epochs": 9},
        {"lr": (1e-4, 1e-3)},
    )
    assert (forest.checkpoint, config.seeds, config.jobs) == (None, (3, 5), None)


def test_a_set_names_numbers_to_choose_from_for_our_models(folder: Path) -> None:
    """Under a model's own; a number that the model fixes is not chosen again; baselines have none of it."""
    text = GOOD.replace(
        'metric = "mae"', 'metric = "mae"\ngrid = { lr = [1e-5], batch = [8], epochs = [1, 2] }'
    )
    config = load(folder, text)
    cells = planned_cells(config, folder / "out", {"mine": {}}, {})
    grids = {cell.model: cell.options["grid"] for cell in cells}
    assert grids == {"fine": {"batch": [8], "lr": [1e-4, 1e-3]}, "forest": {}}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("seeds = [3, 5]", "seed = [3, 5]", "bench.toml: unknown key 'seed'; did you mean 'seeds'?"),
        ("seeds = [3, 5]", "seeds = [3, 3]", "seeds [3, 3] must be different numbers"),
        ("seeds = [3, 5]", "seeds = 3", "seeds = 3 should be a list of whole numbers"),
        ("conformers = 2", "jobs = 0", "jobs = 0 should be a whole number from 1"),
        ("conformers = 2", "keep = 'some'", "keep = 'some' should be one of none, best, all"),
        ("epochs = 7", "epoch = 7", "training: unknown key 'epoch'; did you mean 'epochs'?"),
        ("epochs = 7", "epochs = 7.5", "training: epochs = 7.5 should be a whole number"),
        ("lr = 1 ", "lr = -1 ", "lr = -1 should be a number, 0 or more"),
        ('targets = ["y"]', "", "sets[1] (mine): targets is missing; add it"),
        (
            'targets = ["y"]',
            'targts = ["y"]',
            "sets[1] (mine): unknown key 'targts'; did you mean 'targets'?",
        ),
        ('metric = "mae"', 'metric = "auc"', "metric = 'auc' should be one of roc_auc, pr_auc, rmse, mae"),
        ('name = "mine"', 'name = "esol"', "two of sets are named 'esol'; rename one"),
        ('name = "mine"', 'name = "../x"', "name = '../x' should be a name of letters"),
        ('table = "mine.csv"', 'table = "no.csv"', "no.csv does not exist; correct table, or give --data"),
        ("rows:esol.json", "rows:no.json", "no.json does not exist; correct split, or give --data"),
        (
            'kind = "ecfp4-rf"',
            'kind = "ecfp4-svm"',
            "kind = 'ecfp4-svm' should be one of ours, ours-ensemble, ours-stack",
        ),
        (
            'kind = "ecfp4-rf"',
            'kind = "ecfp4-rf"\narch = "a"',
            "arch is for models of kind ours, ours-ensemble, ours-stack, not ecfp4-rf",
        ),
        ("grid = { lr", "grid = { max_iter", "grid: unknown key 'max_iter'; choose from lr, batch"),
        ("[1e-4, 1e-3]", "1e-4", "grid: lr = 0.0001 should be a list of values"),
        ("seeds = [3, 5]", "seeds = [3, 5", "bench.toml is not valid TOML"),
        ("[[models]]", "[[modells]]", "unknown key 'modells'; did you mean 'models'?"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, before: str, after: str, told: str) -> None:
    assert before in GOOD
    with pytest.raises(MoleblendError) as caught:
        load(folder, GOOD.replace(before, after))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_must_be_given_and_be_there(folder: Path) -> None:
    (folder / "bench.toml").write_text(GOOD)
    with pytest.raises(
        MoleblendError, match="model fine starts from a checkpoint: give --checkpoint fine=FILE"
    ):
        load_config(folder / "bench.toml")
    with pytest.raises(MoleblendError, match=r"model fine: .*no.pt does not exist"):
        load(folder, fine="no.pt")
    with pytest.raises(MoleblendError, match="--checkpoint forest=...: no model of kind ours has that name"):
        load(folder, forest="weights.pt")
    assert load_config(folder / "bench.toml", only_models=["forest"]).models[1].name == "forest"


def test_another_data_folder_may_be_given(folder: Path, tmp_path: Path) -> None:
    (folder / "bench.toml").write_text(GOOD)
    weights = {"fine": folder / "weights.pt"}
    with pytest.raises(MoleblendError, match=r"elsewhere/esol.csv does not exist"):
        load_config(folder / "bench.toml", tmp_path / "elsewhere", weights)
    assert (
        load_config(folder / "bench.toml", folder / "tables", weights).sets[0].table.parent.name == "tables"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match=r"no.toml cannot be read \(No such file or directory\)"):
        load_config(tmp_path / "no.toml")


KINDS = """
[[sets]]
name = "mine"
table = "mine.csv"
split = "random"
targets = ["y"]
metric = "mae"
sample = 50
[[models]]
name = "vectors"
kind = "ours-frozen"
head = "ridge"
join = "descriptors"
[[models]]
name = "five"
kind = "chemprop"
ensemble_size = 5
[[models]]
name = "one"
kind = "chemprop"
[[models]]
name = "other"
kind = "minimol"
grid = { max_depth = [3] }
"""


def load_kinds(folder: Path, text: str = KINDS, **python: str) -> BenchConfig:
    (folder / "bench.toml").write_text(text)
    interpreters = {name: Path(path) for name, path in python.items()}
    weights = {"vectors": folder / "weights.pt"}
    return load_config(folder / "bench.toml", folder / "tables", weights, interpreters=interpreters)


def test_each_kind_takes_what_belongs_to_it(folder: Path) -> None:
    """What is left at its default is not in the settings: cells of a plain chemprop stay finished."""
    config = load_kinds(folder, five=sys.executable)
    cells = {
        cell.model: cell for cell in planned_cells(config, folder / "out", {"mine": {}}, {"vectors": "ab"})
    }
    assert cells["vectors"].options == {
        "grid": {}, "checkpoint_sha256": "ab", "readout": "mean", "head": "ridge", "join": ["descriptors"]
    }  # fmt: skip
    assert cells["five"].options == {"grid": {}, "ensemble_size": 5}
    assert cells["one"].options == {"grid": {}}
    assert cells["other"].options == {"grid": {"max_depth": [3]}, "head": "rf"}
    assert [cells[name].python for name in ("five", "one")] == [sys.executable, ""]
    assert config.sets[0].sample == 50
    notes = Plan.of(config).notes
    assert notes[0].startswith("mine: 50 rows of the table")
    assert notes[1].startswith("other: its training saw labels related to these sets")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('head = "ridge"', 'head = "svm"', "head = 'svm' should be one of rf, ridge, knn"),
        ('join = "descriptors"', 'join = "maccs"', "join = 'maccs' should be one of ecfp4, ecfp4-counts"),
        (
            'head = "ridge"',
            "ensemble_size = 3",
            "ensemble_size is for models of kind ours-ensemble, ours-stack, chemp",
        ),
        ("ensemble_size = 5", "ensemble_size = 0", "ensemble_size = 0 should be a whole number from 1"),
        (
            "ensemble_size = 5",
            'python = "no/python"',
            "no/python is no program; correct python, or give --python",
        ),
        ("max_depth = [3]", "lr = [1]", "unknown key 'lr'; choose from n_estimators"),
        ("sample = 50", "sample = 5", "sample = 5 should be a whole number from 10"),
    ],
)
def test_a_mistake_in_a_kind_is_one_line(folder: Path, before: str, after: str, told: str) -> None:
    with pytest.raises(MoleblendError) as caught:
        load_kinds(folder, KINDS.replace(before, after))
    assert told in str(caught.value)


def test_an_interpreter_is_for_a_model_that_takes_one(folder: Path) -> None:
    with pytest.raises(
        MoleblendError, match=r"--python vectors=...: no model of that name .* five, one, other"
    ):
        load_kinds(folder, vectors=sys.executable)
