"""A user's own plugin that extends this one, on both hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tasks.test_pretrain import write_stores
from tests.trainers import EMBEDDED, ROOT, UNICORE, logged, needs_unicore, train

FOLDER = ROOT / "tests" / "user_plugin"
SIZES = {"train": [4, 9, 1, 7, 12, 5, 6, 8], "valid": [6, 3]}


@pytest.mark.parametrize(
    "command",
    [pytest.param(EMBEDDED, id="embedded"), pytest.param(UNICORE, id="unicore", marks=needs_unicore)],
)
def test_a_loss_of_ones_own_trains(tmp_path: Path, command: list[str]) -> None:
    data = write_stores(tmp_path, SIZES)
    arguments = ("--loss", "pretrain_per_atom", "--max-update", 3, "--distance-weight", "0.25")
    log = train(command, data, tmp_path / "run", *arguments, user_dir=("--user-dir", FOLDER))
    assert [line["mean_atoms"] for line in logged(log, "train_inner")] == [6.5, 6.5, 6.5]
    (valid,) = logged(log, "valid")[-1:]
    assert valid["mean_atoms"] == 4.5
    # Two molecules in one batch of mean size 4.5: 4.5 times the weighted sum of the terms.
    weights = {"spd": 0.1, "edge": 0.1, "distance": 0.25, "denoise": 6.0}
    terms = sum(weight * valid[f"{name}_loss"] for name, weight in weights.items())
    assert valid["loss"] == pytest.approx(4.5 * terms, rel=1e-3)


def test_the_documented_plugin_is_the_tested_one() -> None:
    document = (ROOT / "docs" / "hosts.md").read_text()
    assert f"```python\n{(FOLDER / '__init__.py').read_text()}```" in document
