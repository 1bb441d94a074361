"""From a file of molecules to a pretrained model, through the commands a user types."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from rdkit import RDConfig
from typer.testing import CliRunner

from moleblend_plugin.cli.main import app
from tests.published_files import published_state
from tests.trainers import EMBEDDED, NO_DROPOUT, launch, logged, train

TERMS = ("loss", "spd_loss", "edge_loss", "distance_loss", "denoise_loss")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 molecules of the NCI set with a conformer each, split 8:1:1."""
    folder = tmp_path_factory.mktemp("nci")
    smiles = Path(RDConfig.RDDataDir, "NCI", "first_5K.smi")
    with smiles.open() as lines:
        (folder / "nci.smi").write_text("".join(islice(lines, 64)))
    argv = ["build", str(folder / "nci.smi"), "--out", str(folder / "store"), "--split", "random"]
    done = CliRunner().invoke(app, argv)
    assert done.exit_code == 0, done.output
    return folder / "store"


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of 120 updates over several epochs, and its log."""
    run = tmp_path_factory.mktemp("run")
    return run, train(EMBEDDED, data, run, "--max-update", 120, *NO_DROPOUT)


def test_pretraining_lowers_every_term(trained: tuple[Path, str]) -> None:
    _, log = trained
    updates = logged(log, "train_inner")
    assert [update["num_updates"] for update in updates] == list(range(1, 121))
    for term in TERMS:
        first, last = (sum(u[term] for u in part) / 10 for part in (updates[:10], updates[-10:]))
        assert last < 0.97 * first, term


def test_the_logged_total_is_the_weighted_sum(trained: tuple[Path, str]) -> None:
    weights = {"spd_loss": 0.1, "edge_loss": 0.1, "distance_loss": 0.5, "denoise_loss": 6.0}
    for update in logged(trained[1], "train_inner"):
        weighted = sum(weight * update[name] for name, weight in weights.items())
        assert update["loss"] == pytest.approx(weighted, abs=1e-3)


def test_the_run_folder_tells_the_same_numbers(trained: tuple[Path, str]) -> None:
    run, log = trained
    events = [json.loads(line) for line in (run / "train.jsonl").read_text().splitlines()]
    inner = [event for event in events if event["event"] == "train_inner"]
    for event, shown in zip(inner, logged(log, "train_inner"), strict=True):
        assert event["distance_mae"] == pytest.approx(shown["distance_mae"], rel=1e-3)
    assert {"valid", "train"} <= {event["event"] for event in events}


def test_worker_processes_change_nothing(data: Path, trained: tuple[Path, str], tmp_path: Path) -> None:
    log = train(EMBEDDED, data, tmp_path, "--max-update", 12, "--num-workers", 2, *NO_DROPOUT)
    for left, right in zip(logged(log, "train_inner"), logged(trained[1], "train_inner"), strict=False):
        assert {term: left[term] for term in TERMS} == {term: right[term] for term in TERMS}


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(data: Path, tmp_path: Path) -> None:
    """Dropout on, the break in the middle of an epoch: the same weights to the last bit."""
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    train(EMBEDDED, data, straight, "--max-update", 10)
    train(EMBEDDED, data, halves, "--max-update", 4)
    train(EMBEDDED, data, halves, "--max-update", 10)
    left, right = (
        torch.load(f / "checkpoint_last.pt", weights_only=False)["model"] for f in (straight, halves)
    )
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_published_checkpoint_goes_on_training(data: Path, tmp_path: Path) -> None:
    """Imported, rebuilt by the flags that the importer prints, and a first loss without a new head in it."""
    torch.save(published_state(layers=2), tmp_path / "published.pt")
    done = CliRunner().invoke(
        app, ["import-official", str(tmp_path / "published.pt"), "--out", str(tmp_path / "ours.pt")]
    )
    assert done.exit_code == 0, done.output
    flags = done.output.split("flags that build this network: ")[1].splitlines()[0].split()
    fine = ["--finetune-from-model", tmp_path / "ours.pt", "--max-update", 1, *flags]
    loaded = train(EMBEDDED, data, tmp_path / "run", *fine, *NO_DROPOUT, "--drop-path", 0)
    fresh = train(EMBEDDED, data, tmp_path / "fresh", *fine[2:], *NO_DROPOUT, "--drop-path", 0)
    assert (
        logged(loaded, "train_inner")[0]["direction_loss"]
        != logged(fresh, "train_inner")[0]["direction_loss"]
    )
    assert "distance_loss" not in logged(loaded, "train_inner")[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ["--relation-probs", "0.5,0.4,0.3"],
            "--relation-probs 0.5,0.4,0.3: they sum to 1.2; make them sum to 1",
        ),
        (["--arch", "moleblend_smal"], "moleblend_small"),
        (
            ["--encoder-embed-dim", "100"],
            "--encoder-embed-dim 100 is not a multiple of --encoder-attention-heads 8",
        ),
        (["--valid-subset", "vaild"], "vaild.lmdb"),
        (["--denoise-weight", "-1"], "--denoise-weight -1: give a weight of 0 or more"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_impossible_settings_end_in_one_line(
    data: Path, tmp_path: Path, arguments: list[str], named: str
) -> None:
    done = launch(EMBEDDED, data, tmp_path / "run", "--max-update", 1, *arguments)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert named in errors[0]
    assert "Traceback" not in done.stderr


def test_a_missing_store_is_named(tmp_path: Path) -> None:
    done = launch(EMBEDDED, tmp_path / "nowhere", tmp_path / "run", "--max-update", 1)
    assert done.returncode == 2
    assert "nowhere: no such folder; make it with 'moleblend build" in done.stderr
