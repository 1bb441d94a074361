"""The presets against the published table, typed here by hand, and the commands that they print."""

from __future__ import annotations

import shlex

import pytest
from typer.testing import CliRunner

from moleblend_plugin.bench.spec.recipes import RECIPES, recipe_of
from moleblend_plugin.cli.main import app
from moleblend_plugin.errors import MoleblendError

# Uni-Mol's README: tasks, lr, batch, epochs, dropout, warm-up ratio.
PUBLISHED = {
    "bbbp": (1, 4e-4, 128, 40, 0, 0.06),
    "bace": (1, 1e-4, 64, 60, 0.1, 0.06),
    "clintox": (2, 5e-5, 256, 100, 0.5, 0.1),
    "tox21": (12, 1e-4, 128, 80, 0.1, 0.06),
    "toxcast": (617, 1e-4, 64, 80, 0.1, 0.06),
    "sider": (27, 5e-4, 32, 80, 0, 0.1),
    "hiv": (1, 5e-5, 256, 5, 0.2, 0.1),
    "pcba": (128, 1e-4, 128, 20, 0.1, 0.06),
    "muv": (17, 2e-5, 128, 40, 0, 0),
    "esol": (1, 5e-4, 256, 100, 0.2, 0.06),
    "freesolv": (1, 8e-5, 64, 60, 0.2, 0.1),
    "lipo": (1, 1e-4, 32, 80, 0.1, 0.06),
    "qm7": (1, 3e-4, 32, 100, 0, 0.06),
    "qm8": (12, 1e-4, 32, 40, 0, 0.06),
    "qm9": (3, 1e-4, 128, 40, 0, 0.06),
}
METRIC = dict.fromkeys(PUBLISHED, "roc_auc") | dict.fromkeys(("esol", "freesolv", "lipo"), "rmse")
METRIC |= dict.fromkeys(("qm7", "qm8", "qm9"), "mae")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_has_the_published_numbers(name: str) -> None:
    recipe = RECIPES[name]
    run = recipe.training
    assert (recipe.tasks, run.lr, run.batch, run.epochs, run.dropout, run.warmup) == PUBLISHED[name]
    assert (run.patience, run.fp16, run.weight_decay) == (20, True, 0)
    assert recipe.metric == METRIC[name]
    assert recipe.targets == ("all",) or len(recipe.targets) == recipe.tasks
    assert recipe.conformers == "11"


def test_presets_that_nobody_published_say_so() -> None:
    assert {name for name in RECIPES if RECIPES[name].source.startswith("chosen here")} == {
        "pcqm4mv2",
        "malaria",
        "cep",
    }
    assert (RECIPES["pcqm4mv2"].metric, RECIPES["pcqm4mv2"].input_mode) == ("mae", "2d")
    assert "training molecules only" in RECIPES["pcqm4mv2"].note


def printed(*words: str) -> tuple[list[str], list[str]]:
    """The two commands that ``moleblend recipe`` prints, as words."""
    done = CliRunner().invoke(app, ["recipe", *words])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if not line.startswith("#")]
    commands = "\n".join(lines).replace("\\\n", " ").splitlines()
    assert len(commands) == 2
    build, train = (shlex.split(command) for command in commands)
    return build, train


def value(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_the_printed_commands_hold_the_numbers() -> None:
    build, train = printed("clintox", "--data", "my table.csv", "--split", "rows:given.json", "--out", "here")
    assert build[:3] == ["moleblend", "build", "my table.csv"]
    assert (value(build, "--split"), value(build, "--out")) == ("rows:given.json", "here")
    assert value(build, "--target-columns") == value(train, "--target-columns") == "FDA_APPROVED,CT_TOX"
    assert train[:2] == ["unicore-train", "here"]
    wanted = {
        "--task": "moleblend_property", "--arch": "moleblend_property_base",
        "--loss": "moleblend_classification", "--head-dropout": "0.5", "--batch-size": "256",
        "--lr": "5e-05", "--optimizer": "adam", "--adam-betas": "(0.9, 0.99)", "--adam-eps": "1e-6",
        "--clip-norm": "1.0", "--lr-scheduler": "polynomial_decay", "--warmup-ratio": "0.1",
        "--max-epoch": "100", "--patience": "20", "--best-checkpoint-metric": "roc_auc",
        "--input-mode": "both",
    }  # fmt: skip
    assert {flag: value(train, flag) for flag in wanted} == wanted
    assert "--maximize-best-checkpoint-metric" in train
    assert "--regression-loss" not in train


def test_an_error_is_not_maximised() -> None:
    _, train = printed("qm9", "--checkpoint", "pretrained.pt", "--seed", "3")
    assert "--maximize-best-checkpoint-metric" not in train
    assert (value(train, "--regression-loss"), value(train, "--loss")) == (
        "smooth_l1",
        "moleblend_regression",
    )
    assert (value(train, "--finetune-from-model"), value(train, "--seed")) == ("pretrained.pt", "3")


def test_all_presets_can_be_listed_and_printed() -> None:
    listed = CliRunner().invoke(app, ["recipe", "list"]).output
    assert all(f" {name} " in listed for name in RECIPES)
    for name in RECIPES:
        printed(name)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(MoleblendError, match="no recipe is named 'freesolve': did you mean freesolv"):
        recipe_of("freesolve")
    assert recipe_of("ESOL").name == "esol"
