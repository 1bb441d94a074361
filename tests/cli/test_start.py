"""What a command loads before it works: facts about modules in fresh processes, because every start pays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import property_checkpoint

HEAVY = (
    "sklearn", "pandas", "scipy.stats", "matplotlib", "lightning_fabric", "torch._dynamo", "tensorboard",
    "torch.utils.tensorboard", "torch.distributed.fsdp", "rich.progress", "polars", "ogb", "PIL",
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


def test_naming_an_estimator_loads_no_torch() -> None:
    code = "from moleblend_plugin import MoleblendRegressor, MoleblendClassifier, MoleblendEmbedder"
    assert loaded(code + "\nMoleblendRegressor()", ["torch", "lightning_fabric", "matplotlib"]) == []
