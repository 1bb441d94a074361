"""Pieces on the command line, and a joined store in the place of one that was built in one run."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.cli.main import main
from moleblend_plugin.tasks.base import open_split
from moleblend_plugin.tasks.property.task import MoleblendPropertyTask
from moleblend_plugin.tasks.store_fingerprint import store_fingerprint
from tests.building.pieces import assert_equal_builds, write_table
from tests.checkpoints import property_checkpoint
from tests.labelled import options

WORDS = ("--conformers", "none", "--workers", 1, "--target-columns", "y", "--split", "random")


def run(*arguments: Path | int | str) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        return done.code or 0
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``one`` was built in one run, ``joined`` of the pieces in ``p``."""
    place = tmp_path_factory.mktemp("joined [b]")
    table = write_table(place / "t.csv", 40)
    assert run("build", table, "--out", place / "one", *WORDS) == 0
    for number in (3, 2, 1):
        assert run("build", table, "--out", place / "p", *WORDS, "--piece", f"{number}/3") == 0
    assert run("join", place / "p", "--out", place / "joined") == 0
    return place


def test_what_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("build", folder / "t.csv", "--out", folder / "p", *WORDS, "--piece", "2/3")
    assert run(*words) == 0
    told = capsys.readouterr().out.splitlines()
    path = folder / "p" / "2-of-3.piece"
    assert told == [
        f"piece 2/3 is there already: 12 molecules, 1 rejected: {path}",
        f"when all 3 are there: moleblend join {folder / 'p'} --out STORE",
    ]
    assert run(*words, "--overwrite") == 0
    assert capsys.readouterr().out.startswith("piece 2/3 took ")
    assert run("join", *sorted((folder / "p").iterdir()), "--out", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert f"{tmp_path / 'out' / 'train.lmdb'}" in out
    assert "molecules 37 with 3D 0" in " ".join(out.split())
    assert run("join", folder / "p", "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert run("inspect", folder / "joined") == 0
    assert f"pieces       3 files, the first is {(folder / 'p' / '1-of-3.piece').resolve()}" in (
        capsys.readouterr().out
    )


def test_commands_make_the_same_of_both(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = property_checkpoint(tmp_path / "m.pt", ("y",), "regression", "2d")
    assert_equal_builds(folder / "one", folder / "joined")
    made: dict[str, list[object]] = {"one": [], "joined": []}
    for name, found in made.items():
        store = folder / name
        device = ("--device", "cpu", "--workers", 1)
        assert run("predict", model, store / "train.lmdb", "--out", tmp_path / f"{name}.csv", *device) == 0
        assert run("embed", model, store / "train.lmdb", "--out", tmp_path / f"{name}.npz", *device) == 0
        assert run("export", store, "--out", tmp_path / f"x{name}.csv", "--format", "chemprop") == 0
        assert run("splits", store, "--out", tmp_path / f"{name}.json") == 0
        found.append((tmp_path / f"{name}.csv").read_bytes())
        with np.load(tmp_path / f"{name}.npz") as held:
            found += [held[key].tobytes() for key in sorted(held)]
        found.append((tmp_path / f"x{name}.csv").read_bytes())
        found.append((tmp_path / f"{name}.json").read_text().replace(str(store), ""))
        assert run("build", store, "--out", tmp_path / f"{name}.again", "--workers", 1) == 0  # one file of it
    assert made["joined"] == made["one"]
    assert (tmp_path / "joined.again" / "split.json").read_bytes() == (
        tmp_path / "one.again" / "split.json"
    ).read_bytes()


def test_a_task_reads_a_joined_store_as_it_does_another(folder: Path) -> None:
    batches = []
    for name in ("one", "joined"):
        args: argparse.Namespace = options(folder / name)
        task = MoleblendPropertyTask.setup_task(args)
        task.load_dataset("train")
        task.load_dataset("valid")
        order = [task.datasets["train"].ordered_indices().tolist()]
        batches.append(order + [task.datasets[part][0] for part in ("train", "valid")])
        assert open_split(str(folder / name), "valid").meta.count == len(task.datasets["valid"])
    assert str(batches[0]) == str(batches[1])
    fingerprints = {store_fingerprint(folder / name / "train.lmdb") for name in ("one", "joined")}
    assert len(fingerprints) == 1
