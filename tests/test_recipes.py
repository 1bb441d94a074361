"""CONTRIBUTING's recipes, followed to the letter: its blocks are applied to a copy of the package.

A recipe is right if its blocks are all that a change needs, and if the change then works. One process looks
at all of them, since most of the time goes into imports.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.metrics.scores import score_regression
from tests.labelled import regression_tables, write_labelled
from tests.tasks.test_pretrain import write_stores

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = {
    title: text for title, text in re.findall(r"^### (.+)\n((?:(?!#).*\n|#(?!#).*\n)*)", PAGE, re.MULTILINE)
}


def files_of(recipe: str) -> dict[str, list[tuple[str, str]]]:
    """What a recipe changes: by file, what stands there and what is to stand there; "" for a new file."""
    edits: dict[str, list[tuple[str, str]]] = {}
    for kind, block in FENCE.findall(RECIPES[recipe]):
        if kind == "python":
            edits[block.splitlines()[0].removeprefix("# ")] = [("", block)]
            continue
        for part in re.split(r"^--- a/", block, flags=re.MULTILINE)[1:]:
            name, _, *lines = part.splitlines(keepends=True)
            hunks = re.split(r"^@@.*\n", "".join(lines), flags=re.MULTILINE)[1:]
            edits[name.strip()] = [(side(hunk, " -"), side(hunk, " +")) for hunk in hunks]
    return edits


def side(hunk: str, signs: str) -> str:
    """The lines of a hunk before (" -") or after (" +") the change."""
    return "".join(
        line[1:] or "\n" for line in hunk.splitlines(keepends=True) if (line[0].strip() or " ") in signs
    )


def test_the_page_has_the_recipes() -> None:
    changed = {
        title: [name for name in files_of(title) if not name.startswith("tests/")] for title in RECIPES
    }
    assert changed["Loss term"] == ["moleblend_plugin/losses/pretrain.py"]
    assert len(changed["Relation"]) == 2
    assert len(changed["Network over labels"]) == len(changed["Format of files of molecules"]) == 2
    assert [title for title in changed if len(files_of(title)) != len(changed[title]) + 1] == [
        "Head",
        "Bundled network",
    ]


def test_hunks_are_read() -> None:
    hunk = " kept\n-before\n+after\n \n+\n"
    assert (side(hunk, " -"), side(hunk, " +")) == ("kept\nbefore\n\n", "kept\nafter\n\n\n")


FOLLOWED = r"""
import collections, contextlib, dataclasses, io, json, sys
from pathlib import Path

import pytest

import moleblend_plugin
from moleblend_plugin.cli.inspect import print_blend
from moleblend_plugin.data.samples.blend import BlendConfig, blend
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.report.curves_page import write_curves
from moleblend_plugin.report.run_log import logged_curves, read_run_log
from moleblend_plugin.schema import PAIRS_SHOWN, Shown
from moleblend_plugin.trainer.main import main

folder, plain, labelled, run = map(Path, sys.argv[1:5])
assert Path(moleblend_plugin.__file__).is_relative_to(folder), moleblend_plugin.__file__
sys.path.insert(0, "tools")
import write_options

found = {"options": write_options.page()}
own = sorted(str(path) for path in Path("tests").rglob("test_*.py"))
with contextlib.redirect_stdout(io.StringIO()) as text:
    found["tests"] = (int(pytest.main(["-q", "-p", "no:cacheprovider", *own])), len(own))
found["told"] = text.getvalue()

# a relation
record = MoleculeStore(plain / "train.lmdb")[0]
for name, molecule in (("3D", record), ("no 3D", dataclasses.replace(record, coords=None))):
    features, counts = featurize(molecule, 0), collections.Counter()
    for index in range(200):
        counts.update(blend(features, BlendConfig(), 1, 1, index)["pair_shown"].ravel().tolist())
    with contextlib.redirect_stdout(io.StringIO()) as text:
        print_blend(molecule, features, (0, 1), (BlendConfig(), 1, 1, 0))
    found[name] = ({bits: count / counts.total() for bits, count in counts.items()}, text.getvalue())
found["fine-tuning"] = {mode: bool(shown & Shown.SAME_ELEMENT) for mode, shown in PAIRS_SHOWN.items()}

# a loss
common = ["--lr", "1e-3", "--num-workers", "0", "--cpu", "--max-epoch", "1", "--log-interval", "1",
          "--batch-size", "2"]
terms = ["--task", "moleblend_pretrain", "--arch", "moleblend_tiny", "--loss", "moleblend_pretrain",
         "--best-checkpoint-metric", "symmetry_rms", "--symmetry-weight", "0.5"]
rising = [*common, *terms, "--maximize-best-checkpoint-metric", "--save-dir", str(run / "not")]
with contextlib.redirect_stderr(io.StringIO()) as text:
    found["rising"] = (main([str(plain), *rising]), text.getvalue())
assert main([str(plain), *common, *terms, "--save-dir", str(run / "pretrain")]) == 0
assert (run / "pretrain" / "checkpoint_best.pt").is_file()
log = read_run_log(run / "pretrain")
curves = logged_curves(log)
found["logged"] = {one.key: (one.title, log.train[one.key], log.valid[one.key]) for one in curves}
found["page"] = write_curves(log, curves, run / "shown")[1].read_text(encoding="utf-8").split("<div>", 1)[1]

# a network
network = [*sys.argv[5:], "--arch", "moleblend_property_elements", "--element-dim", "8"]
assert main([str(labelled), *network, *common, "--save-dir", str(run / "network")]) == 0
predictor = Predictor.from_checkpoint(run / "network" / "checkpoint_best.pt", device="cpu")
values = predictor.predict_store(MoleculeStore(labelled / "valid.lmdb"))
logged = read_run_log(run / "network").valid["rmse"]
found["network"] = (repr(predictor._model), values.tolist(), logged[-1][1])
(folder / "found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of all recipes in a copy of the package (with its compiled files, which keep their times)."""
    folder = tmp_path_factory.mktemp("copy")
    for part in ("moleblend_plugin", "tools"):
        shutil.copytree(ROOT / part, folder / part)
    for recipe in RECIPES:
        for name, changes in files_of(recipe).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            for before, after in changes:
                assert text.count(before) == 1, f"{recipe}, {name}: {before!r}"
                text = text.replace(before, after)
            path.write_text(text, encoding="utf-8")
    data = [tmp_path_factory.mktemp(name) for name in ("plain", "labelled")]
    write_stores(data[0], {"train": [9, 5, 6, 7], "valid": [4, 5]})
    write_labelled(data[1], regression_tables(8, 4))
    words = ["--task", "moleblend_property", "--loss", "moleblend_regression"]
    argv = [sys.executable, "-c", FOLLOWED, folder, *data, tmp_path_factory.mktemp("runs"), *words]
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    told: dict[str, Any] = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    return told


def test_the_tests_of_the_recipes_pass(found: dict[str, Any]) -> None:
    blocks = [name for recipe in RECIPES for name in files_of(recipe) if name.startswith("tests/")]
    assert found["tests"] == [0, len(blocks)], found["told"]


def test_a_new_loss_is_logged_selects_checkpoints_and_is_drawn(found: dict[str, Any]) -> None:
    assert found["logged"]["symmetry_loss"][0] == "symmetry loss"
    title, train, valid = found["logged"]["symmetry_rms"]
    assert title == "symmetry difference"
    assert [updates for updates, _ in train] == [1, 2]
    assert [updates for updates, _ in valid] == [2]
    assert found["page"].count("symmetry difference <small>logits</small>") == 2
    status, error = found["rising"]
    assert status != 0
    assert "--best-checkpoint-metric symmetry_rms: lower is better" in error
    assert "| `--symmetry-weight` | 0.1 | of the difference between the path" in found["options"]


def test_a_new_relation_is_shown_and_without_3d_no_3d_is(found: dict[str, Any]) -> None:
    (with_3d, inspected), (without, flat) = found["3D"], found["no 3D"]
    assert with_3d == pytest.approx({"1": 0.2, "2": 0.2, "4": 0.4, "8": 0.2}, abs=0.05)
    assert without == pytest.approx({"1": 1 / 3, "2": 1 / 3, "8": 1 / 3}, abs=0.05)
    assert "spd 0.2, edge 0.2, 3D 0.4, same 0.2" in inspected
    assert "no 3D: pairs show spd or edge or same, in their proportions" in flat
    assert re.search(r"pairs: \d+ show spd, \d+ show edge, 0 show 3D, [1-9]\d* show same", flat)
    assert found["fine-tuning"] == {"2d": True, "3d": False, "both": True}
    assert "probability that a pair shows spd, edge, 3D, same." in found["options"]


def test_a_new_network_trains_and_is_restored(found: dict[str, Any]) -> None:
    network, predictions, logged = found["network"]
    assert network.startswith("MoleblendElementsModel")
    assert "Embedding(120, 8, padding_idx=0)" in network
    scores = score_regression(regression_tables(8, 4)["valid"], predictions, ["a", "b"])
    assert scores["rmse"].mean == pytest.approx(logged, abs=1e-3)  # restored, it predicts as in validation
    assert "`--arch moleblend_property_elements`" in found["options"]


def words_in(text: str) -> set[str]:
    """The names of a text; those of flags have underscores as in code."""
    return {word.strip("-").replace("-", "_") for word in re.findall(r"[\w-]+", text)} - {""}


SOURCES = ("moleblend_plugin/**/*.py", "tests/*.py", "tools/*.py", "Makefile", "pyproject.toml")
KNOWN = words_in(
    "\n".join(path.read_text(encoding="utf-8") for pattern in SOURCES for path in ROOT.glob(pattern))
)
KNOWN |= words_in("\n".join(block for _, block in FENCE.findall(PAGE)))


@pytest.mark.parametrize("quoted", sorted(set(re.findall(r"`([^`\n]+)`", FENCE.sub("", PAGE)))))
def test_what_the_page_names_exists(quoted: str) -> None:
    """Paths are there, and every other word stands in the code."""
    for word in quoted.split():
        if "/" in word or word.endswith((".py", ".md")):
            assert any((ROOT / folder / word).exists() for folder in (".", "moleblend_plugin")), word
        else:
            assert words_in(word) <= KNOWN, word
