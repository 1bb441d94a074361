"""Structure-aware pretraining from a file of molecules on, through the commands a user types."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from rdkit import RDConfig
from typer.testing import CliRunner

from moleblend_plugin.cli.anchors import nearest_anchors, retrieval_by_update
from moleblend_plugin.cli.main import app
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.models.structure.network import StructureAware
from moleblend_plugin.runs import detect
from moleblend_plugin.tasks.load import load_encoder
from moleblend_plugin.tasks.structure.load import load_structure_model, look_at
from moleblend_plugin.tasks.structure.task import StructureTaskConfig, read_steps
from moleblend_plugin.trainer import main as command
from tests.trainers import EMBEDDED, launch, train
from tests.viewed import SIZES, SMALL, VIEWS

AWARE = (
    *("--task", "moleblend_structure_aware", "--loss", "moleblend_structure_aware"),
    *("--arch", "moleblend_structure_aware_tiny", "--image-width", 4, "--encoder-layers", 1),
    *("--structure-warmup", 3, "--structure-ramp", 2, "--monitor-interval", 2),
)
BOTH = tuple(str(word).replace("moleblend_structure", "moleblend_pretrain_structure") for word in AWARE)
UNIFIED = {"contrast": 1.0, "rebuild": 0.2, "cross": 0.2, "homogeneity": 0.6}
STRUCTURE = {"refined": 0.5, "read": 0.5, "memory": 0.1, "balance": 0.0}


def build(source: Path, out: Path, *arguments: str) -> Path:
    done = CliRunner().invoke(app, ["build", str(source), "--out", str(out), *arguments])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["images", str(out), "--image-size", "32"])
    assert done.exit_code == 0, done.output or done.exception
    return out


@pytest.fixture(scope="module")
def smiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 molecules of the NCI set."""
    file = tmp_path_factory.mktemp("nci") / "nci.smi"
    with Path(RDConfig.RDDataDir, "NCI", "first_5K.smi").open() as lines:
        file.write_text("".join(islice(lines, 40)))
    return file


@pytest.fixture(scope="module")
def data(smiles: Path) -> Path:
    """A conformer and a drawing each, split 8:1:1."""
    return build(smiles, smiles.parent / "store", "--split", "random")


def run(data: Path, folder: Path, *arguments: object) -> list[dict[str, Any]]:
    """Train in this process; what ``train.jsonl`` holds of every update and validation."""
    fixed = (
        "--lr",
        1e-3,
        "--clip-norm",
        5,
        "--batch-size",
        8,
        "--num-workers",
        0,
        "--log-interval",
        1,
        "--cpu",
    )
    argv = [data, *fixed, "--save-dir", folder, *arguments]
    try:
        assert command.main([str(word) for word in argv]) == 0
    finally:
        detect.take_charge(None)
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "checkpoint_last.pt")["model"]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A run of 6 updates over two epochs, and its events."""
    folder = tmp_path_factory.mktemp("run")
    return folder, run(data, folder, "--max-update", 6, *AWARE)


def test_every_term_and_sign_is_logged(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    updates = of_kind(trained[1], "train_inner")
    assert [update["num_updates"] for update in updates] == list(range(1, 7))
    for update in updates:
        share = min(max((update["num_updates"] - 3) / 2, 0), 1)
        expected = sum(weight * update[f"{name}_loss"] for name, weight in UNIFIED.items())
        expected += share * sum(weight * update[f"{name}_loss"] for name, weight in STRUCTURE.items())
        assert update["loss"] == pytest.approx(expected, abs=1e-3)
    pairs = ("2d_image", "2d_3d", "image_3d", "refined", "read")
    signs = ("spread_2d", "spread_image", "spread_3d", "effective_rank", "anchor_perplexity")
    for event in (*updates, of_kind(trained[1], "valid")[0]):
        numbers = [event[name] for name in (*(f"retrieval_{pair}" for pair in pairs), *signs)]
        assert all(isinstance(number, float | int) for number in [*numbers, event["collapse_alarms"]])


def test_it_goes_on_bit_for_bit_with_a_worker_process(
    data: Path, trained: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Dropout, augmentation and dropped views on; the break in the middle of an epoch."""
    run(data, tmp_path, "--max-update", 3, *AWARE)
    run(data, tmp_path, "--max-update", 6, *AWARE, "--num-workers", 1)
    left, right = weights_of(tmp_path), weights_of(trained[0])
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_both_objectives_on_one_transformer(
    data: Path, trained: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Blend-then-predict with the structure-aware objective as a term, beginning from the other's weights."""
    start = ("--finetune-from-model", trained[0] / "checkpoint_last.pt")
    flags = (*BOTH, "--share-encoder", "--structure-aware-weight", 0.25, *start)
    events = run(data, tmp_path, "--max-update", 2, *flags)
    weights = {"spd": 0.1, "edge": 0.1, "distance": 0.5, "denoise": 6.0, "structure": 0.25}
    for update in of_kind(events, "train_inner"):
        expected = sum(weight * update[f"{name}_loss"] for name, weight in weights.items())
        assert update["loss"] == pytest.approx(expected, abs=2e-3)
    load_encoder(tmp_path / "checkpoint_last.pt")


def test_a_property_run_begins_from_it(
    smiles: Path, trained: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Acceptance 8: the encoder is taken whole, or not at all."""
    lines = [line.split()[0] for line in smiles.read_text().splitlines()]
    table = tmp_path / "table.csv"
    table.write_text("smiles,size\n" + "".join(f"{text},{len(text)}\n" for text in lines))
    argv = ["build", str(table), "--out", str(tmp_path / "store"), "--target-columns", "size"]
    done = CliRunner().invoke(app, [*argv, "--split", "random", "--conformers", "none"])
    assert done.exit_code == 0, done.output
    task = ("--task", "moleblend_property", "--loss", "moleblend_regression", "--input-mode", "2d")
    arch = ("--arch", "moleblend_property_tiny", "--readout", "mean", "--max-update", 1)
    start = ("--finetune-from-model", trained[0] / "checkpoint_last.pt", "--lr", 0)
    run(tmp_path / "store", tmp_path / "fine", *task, *arch, "--encoder-layers", 1, *start)
    own, _ = load_encoder(trained[0] / "checkpoint_last.pt")
    taken, _ = load_encoder(tmp_path / "fine" / "checkpoint_last.pt")
    assert all(torch.equal(value, taken.state_dict()[name]) for name, value in own.state_dict().items())
    with pytest.raises(AssertionError):
        run(tmp_path / "store", tmp_path / "other", *task, *arch, *start)


def test_pictures_of_what_was_learned(
    data: Path, trained: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    argv = [
        trained[0] / "checkpoint_last.pt",
        data / "train.lmdb",
        "--out",
        tmp_path,
        "--molecules",
        20,
        "--rows",
        3,
    ]
    done = CliRunner().invoke(app, ["anchors", *map(str, argv)])
    assert done.exit_code == 0, done.output or done.exception
    assert {path.name for path in tmp_path.iterdir()} == {"anchors.svg", "hypergraph.png", "retrieval.png"}
    drawn = (tmp_path / "anchors.svg").read_text()
    assert drawn.startswith("<?xml")
    assert (tmp_path / "hypergraph.png").read_bytes().startswith(b"\x89PNG")
    model, args = load_structure_model(trained[0] / "checkpoint_last.pt")
    seen = look_at(model, args, data / "train.lmdb", 20)
    smiles, labels = nearest_anchors(seen, 3)
    weights = seen.output.weights
    nearest = int(weights[1].argmax())
    assert smiles[5] == seen.smiles[1]
    assert labels[6] == f"anchor {nearest}: {float(weights[1, nearest]):.0%}"
    assert smiles[6] == seen.smiles[int(weights[:, nearest].argmax())]
    history = retrieval_by_update(trained[0] / "train.jsonl")
    assert [update for update, _ in history["retrieval_2d_3d"]] == [4, 6]
    done = CliRunner().invoke(app, ["anchors", *map(str, argv), "--rows", "0"])
    assert "--rows 0: give 1 or more" in str(done.exception)


@pytest.mark.long
def test_two_processes_equal_one_on_the_joined_batch(data: Path, tmp_path: Path) -> None:
    """Batches of 16 + 16 of 32 molecules through the trainer; with GIN, ResNet-18 and module B three parts
    have batch statistics. A large eps keeps Adam from turning the rounding of zero gradients into steps."""
    quiet = ("--attention-dropout", 0, "--activation-dropout", 0, "--refined-dropout", 0, "--cpu")
    plain = (
        *AWARE,
        *quiet,
        "--max-epoch",
        3,
        "--graph-encoder",
        "gin",
        "--structure-warmup",
        1,
        "--adam-eps",
        0.01,
    )
    one = run(data, tmp_path / "one", *plain, "--batch-size", 32)
    flags = (*plain, "--batch-size", 16, "--distributed-world-size", 2)
    train(EMBEDDED, data, tmp_path / "two", *flags)
    two = [json.loads(line) for line in (tmp_path / "two" / "train.jsonl").read_text().splitlines()]
    left, right = of_kind(two, "train_inner"), of_kind(one, "train_inner")
    assert [event["bsz"] for event in left] == [event["bsz"] for event in right] == [32, 32, 32]
    for ours, theirs in zip(left, right, strict=True):
        for name in ("loss", "gnorm", "contrast_loss", "refined_loss", "effective_rank"):
            assert ours[name] == pytest.approx(theirs[name], rel=2e-3), name
    joined, whole = weights_of(tmp_path / "two"), weights_of(tmp_path / "one")
    for name, value in whole.items():
        torch.testing.assert_close(
            joined[name], value, rtol=1e-2, atol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_a_mistake_ends_in_one_line(data: Path, tmp_path: Path) -> None:
    """The others are told by the configs, each with its own test."""
    done = launch(EMBEDDED, data, tmp_path / "run", "--max-update", 1, *AWARE, "--views", "3d")
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert errors == ["error: --views 3d: give 2d and one or both of image and 3d, such as 2d,image,3d"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"structure_warmup": -1.0}, "--structure-warmup -1: give 0 or more"),
        ({"monitor_interval": 0}, "--monitor-interval 0: give 1 or more updates"),
        ({"image_lr_scale": 0.0}, "--image-lr-scale 0: give 0 < F <= 1"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(MoleblendError, match=told):
        StructureTaskConfig(**settings)


def test_uni_core_keeps_copies_that_a_slower_image_encoder_would_miss() -> None:
    args = Namespace(image_lr_scale=0.1, fp16=True, bf16=False)
    with pytest.raises(MoleblendError, match="--image-lr-scale 0.1 with --fp16 is not possible"):
        read_steps(args, host="unicore")
    assert read_steps(args, host="embedded").image_lr_scale == 0.1


def test_the_network_is_built_where_the_hosts_base_class_takes_no_arguments() -> None:
    """Uni-Core's does not."""

    class Base(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()

    class Model(StructureAware, Base):
        pass

    for structure in (SIZES, replace(SIZES, graph_encoder="gin")):
        assert Model(SMALL, structure, VIEWS).views == VIEWS


def test_the_ramp_is_told_in_updates_or_as_a_share_of_the_run() -> None:
    share = StructureTaskConfig(structure_warmup=0.1, structure_ramp=0.05).share
    assert [share(update, 1000) for update in (0, 99, 124, 149, 999)] == [0, 0, 0.5, 1, 1]
    updates = StructureTaskConfig(structure_warmup=3, structure_ramp=2).share
    assert [updates(update, 10**6) for update in range(6)] == [0, 0, 0, 0.5, 1, 1]
    at_once = StructureTaskConfig(structure_warmup=0, structure_ramp=0).share
    assert at_once(0, 1000) == 1
