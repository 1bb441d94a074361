"""The file of a comparison: what it means, and one line for every mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

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
            "kind = 'ecfp4-svm' should be one of ours, ours-ensemble, ours-stack, ours-frozen",
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
