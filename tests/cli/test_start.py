"""What a command loads before it works: facts about modules in fresh processes, because every start pays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import property_checkpoint

HEAVY = (
    "numba", "scipy", "sklearn", "pandas", "matplotlib", "lightning_fabric", "torch._dynamo", "tensorboard",
    "torch.utils.tensorboard", "torch.distributed.fsdp", "rich.progress", "polars", "ogb", "PIL",
    "moleblend_plugin.tasks.structure.task", "moleblend_plugin.tasks.pretrain.task",
)  # fmt: skip
LOADED = "import sys; print('loaded', *sorted(set({wanted!r}) & set(sys.modules)))"


def loaded(code: str, wanted: list[str] | tuple[str, ...]) -> list[str]:
    """Which of ``wanted`` a fresh process has loaded after ``code``."""
    told = f"{code}\n{LOADED.format(wanted=tuple(wanted))}"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("loaded")]
    return line.split()[1:]


def test_predicting_one_row_loads_what_it_needs(tmp_path: Path) -> None:
    checkpoint = property_checkpoint(tmp_path / "y.pt")
    (tmp_path / "one.smi").write_text("CCO ethanol\n")
    words = ["predict", checkpoint, tmp_path / "one.smi", "--out", tmp_path / "out.csv"]
    code = f"from moleblend_plugin.cli.main import main\ntry: main({list(map(str, words))!r})\n"
    found = loaded(code + "except SystemExit as done: assert not done.code", HEAVY)
    assert found == []
    assert (tmp_path / "out.csv").read_text().count("\n") == 2


@pytest.mark.parametrize(
    "command", [[], ["predict"], ["embed"], ["score"], ["explain"], ["build"], ["bench"]]
)
def test_help_loads_no_torch(command: list[str]) -> None:
    words = [*command, "--help"]
    code = f"from moleblend_plugin.cli.main import main\ntry: main({words!r})\nexcept SystemExit: pass"
    assert loaded(code, ["torch", "rdkit", "numba", "numpy", "sklearn", "matplotlib"]) == []


def test_training_in_one_process_loads_neither_fabric_nor_the_compiler(tmp_path: Path) -> None:
    toy = Path(__file__).parents[1] / "trainer" / "toy_plugin"
    words = ["20", "--user-dir", toy, "--task", "toy", "--arch", "toy_small", "--loss", "toy_mse", "--cpu"]
    words += ["--batch-size", 4, "--max-update", 2, "--lr", 0.01, "--save-dir", tmp_path]
    code = f"from moleblend_plugin.trainer.main import main\nassert main({list(map(str, words))!r}) == 0"
    compiled = ("numba", "rdkit", "torch._dynamo", "sympy")
    assert loaded(code, ("lightning_fabric", "torch.distributed.fsdp", "sklearn", "pandas", *compiled)) == []
    assert (tmp_path / "checkpoint_last.pt").exists()


def test_naming_an_estimator_loads_no_torch() -> None:
    code = "from moleblend_plugin import MoleblendRegressor, MoleblendClassifier, MoleblendEmbedder"
    assert loaded(code + "\nMoleblendRegressor()", ["torch", "lightning_fabric", "matplotlib"]) == []
