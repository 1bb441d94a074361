"""CONTRIBUTING's recipes, followed to the letter in a copy of the package.

A recipe is right if the files that it names are the files that a change needs, and if the change then works.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tasks.test_pretrain import write_stores

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "moleblend_plugin"

Edits = dict[str, list[tuple[str, str]]]
"""Per file: what stands there, and what stands there afterwards."""

RELATION: Edits = {
    "moleblend_plugin/schema.py": [
        ("    ALL_2D = SPD | EDGE\n", "    SAME = 8\n    ALL_2D = SPD | EDGE | SAME\n"),
        ("    ALL = SPD | EDGE | DISTANCE\n", "    ALL = SPD | EDGE | DISTANCE | SAME\n"),
        ("needs_3d=True, share=0.6),\n", "needs_3d=True, share=0.4),\n"
         '    RelationRow(Shown.SAME, "same", needs_3d=False, share=0.2),\n'),
    ],
    "moleblend_plugin/models/blend/relations.py": [
        ("class BlendedBias(", '''class SameElement(Relation):
    """Whether both atoms are of one element."""

    shown = Shown.SAME

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.table = nn.Embedding(2, heads)

    def forward(self, relations: Relations) -> Tensor:
        """Bias [B, N, N, H]."""
        number = relations.atomic_number
        bias: Tensor = self.table((number[:, :, None] == number[:, None]).int())
        return bias


class BlendedBias('''),
        ('            "distance": DistanceRelation(', '            "same": SameElement(heads),\n'
         '            "distance": DistanceRelation('),
    ],
    "moleblend_plugin/data/samples/blend.py": [
        ("a pair shows spd, edge, 3D.", "a pair shows spd, edge, 3D, same.")
    ],
}  # fmt: skip

LOSS: Edits = {
    "moleblend_plugin/losses/terms.py": [
        ("\ndef spd_term(", '''
def symmetry_term(logits: Tensor, keep: Tensor) -> Term:
    """How much the path lengths i -> j and j -> i are told apart: mean square difference of logits."""
    difference = (logits - logits.transpose(1, 2)).square().mean(-1)[keep]
    counted = int(keep.sum())
    return Term(difference.sum() / max(counted, 1), difference.detach().sqrt().sum(), counted)


def spd_term('''),
    ],
    "moleblend_plugin/losses/pretrain.py": [
        ("    spd_term,\n", "    spd_term,\n    symmetry_term,\n"),
        ("        denoise_weight: of",
         "        symmetry_weight: of the symmetry term.\n        denoise_weight: of"),
        ("    denoise_weight: float = 6.0\n",
         "    denoise_weight: float = 6.0\n    symmetry_weight: float = 0.1\n"),
        ('            "denoise": self.denoise_weight,\n', '            "denoise": self.denoise_weight,\n'
         '            "symmetry": self.symmetry_weight,\n'),
        ('    "denoise": "denoise_cosine",\n',
         '    "denoise": "denoise_cosine",\n    "symmetry": "symmetry_rms",\n'),
        ("    return terms\n",
         '    terms["symmetry"] = symmetry_term(predictions.spd, every_pair)\n    return terms\n'),
    ],
    "moleblend_plugin/report/run_log.py": [
        ('    Term("denoise_cosine"', '    Term("symmetry_loss", "symmetry loss", "square"),\n'
         '    Term("symmetry_rms", "symmetry difference", "logits"),\n    Term("denoise_cosine"'),
    ],
}  # fmt: skip


def recipe_files(name: str) -> set[str]:
    """Files that the recipe of CONTRIBUTING.md tells to change."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"^\*\*{name}\*\*.*\n((?:(?:\d\.|  ).*\n)+)", text, re.MULTILINE)
    assert found is not None, name
    return set(re.findall(r"^\d\. `([\w/.]+)`", found[1], re.MULTILINE))


def followed(folder: Path, edits: Edits) -> Path:
    """A copy of the package (with its compiled files, which keep their times) with the edits made."""
    for part in (PACKAGE, "tools"):
        shutil.copytree(ROOT / part, folder / part)
    for name, changes in edits.items():
        text = (folder / name).read_text(encoding="utf-8")
        for before, after in changes:
            assert text.count(before) == 1, f"{name}: {before!r}"
            text = text.replace(before, after)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def python(folder: Path, code: str, *arguments: object) -> str:
    """Run code against the copy, which must succeed; what it printed."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


OPTIONS = "import sys; sys.path.insert(0, 'tools'); import write_options; print(write_options.page())"


def test_the_recipe_of_a_relation(tmp_path: Path) -> None:
    assert recipe_files("relation") == {*RELATION, "docs/options.md"}
    folder = followed(tmp_path, RELATION)
    stores = write_stores(tmp_path, {"train": [9, 5], "valid": [4, 6]})
    code = """
import collections, sys
import moleblend_plugin
assert moleblend_plugin.__file__.startswith(sys.argv[1]), moleblend_plugin.__file__
import dataclasses
from pathlib import Path
import torch
from moleblend_plugin.cli.inspect import print_blend
from moleblend_plugin.data.samples.blend import BlendConfig, blend
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.relations import BlendedBias, Relations
from moleblend_plugin.schema import PAIRS_SHOWN, RELATIONS, Shown

record = MoleculeStore(Path(sys.argv[2]) / "train.lmdb")[0]
flat = dataclasses.replace(record, coords=None)
for molecule in (record, flat):
    features = featurize(molecule, 0)
    counts = collections.Counter()
    for index in range(200):
        counts.update(blend(features, BlendConfig(), 1, 1, index)["pair_shown"].ravel().tolist())
    shares = {bits: round(count / counts.total(), 1) for bits, count in sorted(counts.items())}
    print("shares", shares)
    print_blend(molecule, features, (0, 1), (BlendConfig(), 1, 1, 0))
assert sum(row.shown for row in RELATIONS) == Shown.ALL
print("fine-tuning", {mode: int(shown & Shown.SAME) for mode, shown in PAIRS_SHOWN.items()})

bias = BlendedBias(heads=32, kernels=128)
number = torch.tensor([[6, 6, 8]], dtype=torch.uint8)
zeros = torch.zeros(1, 3, 3, dtype=torch.uint8)
relations = Relations(number, zeros, torch.zeros(1, 3, 3, 5, dtype=torch.uint8),
                      torch.zeros(1, 3, 3, ModelConfig().gaussian_kernels))
shown = bias(relations, torch.full((1, 3, 3), int(Shown.SAME), dtype=torch.uint8))
assert torch.equal(shown[0, :, 0, 1], bias.relations["same"].table.weight[1])
assert torch.equal(shown[0, :, 0, 2], bias.relations["same"].table.weight[0])
print("seen by the network")
"""
    told = python(folder, code, folder, stores)
    assert "shares {1: 0.2, 2: 0.2, 4: 0.4, 8: 0.2}" in told
    assert re.search(r"shares \{1: 0\.3, 2: 0\.3, 8: 0\.3\}", told)  # no 3D: no pair shows bit 4
    assert "spd 0.2, edge 0.2, 3D 0.4, same 0.2" in told
    assert "no 3D: pairs show spd or edge or same, in their proportions" in told
    assert re.search(r"pairs: \d+ show spd, \d+ show edge, 0 show 3D, [1-9]\d* show same", told)
    assert "fine-tuning {'2d': 8, '3d': 0, 'both': 8}" in told
    assert "seen by the network" in told
    options = python(folder, OPTIONS)
    assert "spd, edge, 3D, same" in options


def test_the_recipe_of_a_loss(tmp_path: Path) -> None:
    assert recipe_files("loss") == {*LOSS, "docs/options.md"}
    folder = followed(tmp_path, LOSS)
    stores = write_stores(tmp_path, {"train": [4, 5, 6, 7], "valid": [4, 5]})
    code = """
import sys
import moleblend_plugin
assert moleblend_plugin.__file__.startswith(sys.argv[1]), moleblend_plugin.__file__
from pathlib import Path
from moleblend_plugin.trainer.main import main
run = sys.argv[3]
for metric in ("symmetry_loss", "symmetry_rms"):
    assert main([sys.argv[2], "--task", "moleblend_pretrain", "--arch", "moleblend_tiny",
                 "--loss", "moleblend_pretrain", "--batch-size", "2", "--num-workers", "0", "--lr", "1e-3",
                 "--cpu", "--max-epoch", "1", "--log-interval", "1", "--save-dir", f"{run}/{metric}",
                 "--best-checkpoint-metric", metric, "--symmetry-weight", "0.5"]) == 0
    assert (Path(run) / metric / "checkpoint_best.pt").is_file()
from moleblend_plugin.report.run_log import TERMS, read_run_log
log = read_run_log(Path(run) / "symmetry_rms")
titles = {term.key: term.title for term in TERMS}
for key in ("symmetry_loss", "symmetry_rms"):
    print(key, titles[key], log.train[key], log.valid[key])
"""
    told = python(folder, code, folder, stores, tmp_path / "runs")
    assert "best_symmetry_loss" in told
    assert re.search(r"symmetry_loss symmetry loss \[\(1, [\d.e-]+\), \(2, ", told)
    assert re.search(r"symmetry_rms symmetry difference \[\(1, ", told)
    command = "import sys; from moleblend_plugin.cli.main import main; sys.exit(main(sys.argv[1:]))"
    python(folder, command, "curves", tmp_path / "runs" / "symmetry_rms", "--out", tmp_path / "shown")
    html = next((tmp_path / "shown").glob("*.html")).read_text(encoding="utf-8")
    assert "symmetry difference" in html
    options = python(folder, OPTIONS)
    assert "--symmetry-weight" in options


@pytest.mark.parametrize("name", ["relation", "head", "loss"])
def test_recipes_name_what_there_is(name: str) -> None:
    """Every name in backquotes of a step stands in the file of that step."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"^\*\*{name}\*\*.*\n((?:(?:\d\.|  ).*\n)+)", text, re.MULTILINE)
    assert found is not None
    steps = re.findall(r"^\d\. `([\w/.]+)`: ((?:.*\n)(?:  .*\n)*)", found[1], re.MULTILINE)
    assert len(steps) >= 2
    for file, words in steps:
        source = (ROOT / file).read_text(encoding="utf-8")
        named = re.findall(r"`(\w+)`", words)
        assert [name for name in named if name not in source] == [], file
