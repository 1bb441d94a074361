"""The task wires store, model and loss for a trainer."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.store.reader import MoleculeStore, StoreWriter
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.pretrain import PretrainLossConfig
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.tasks.pretrain.loss import MoleblendPretrainLoss
from moleblend_plugin.tasks.pretrain.task import MoleblendPretrainTask
from tests.molecules import make_record

SIZES = {"train": [4, 9, 1, 7, 12, 5, 6, 8], "valid": [6, 3]}


def write_stores(folder: Path, sizes: dict[str, list[int]]) -> Path:
    for split, counts in sizes.items():
        with StoreWriter(folder / f"{split}.lmdb", settings={}, sources={}, split=split) as writer:
            for seed, n in enumerate(counts):
                writer.add(make_record(n, seed))
    return folder


def arguments(folder: Path, **more: object) -> argparse.Namespace:
    """What the trainer and the task's own flags would give."""
    given: dict[str, object] = {"train_subset": "train", "seed": 1, "batch_size": 3, "batch_size_valid": 2}
    given |= {"max_epoch": 1, "max_update": 0, "stop_time_hours": 0, "update_freq": [1], "no_save": False}
    given |= {"disable_validation": False, "no_epoch_checkpoints": False, "no_last_checkpoints": False}
    given |= {"save_interval_updates": 0, "validate_interval_updates": 0, "best_checkpoint_metric": "loss"}
    given |= {"save_dir": str(folder / "run"), "tmp_save_dir": str(folder / "tmp")}
    given |= {"finetune_from_model": None, "restore_file": "checkpoint_last.pt", "fp16": False, "bf16": False}
    return argparse.Namespace(data=str(folder), **(given | more))


def task_of(folder: Path) -> MoleblendPretrainTask:
    return MoleblendPretrainTask.setup_task(arguments(folder))


@pytest.fixture
def task(tmp_path: Path) -> MoleblendPretrainTask:
    return task_of(write_stores(tmp_path, SIZES))


def test_training_is_shuffled_and_validation_is_not(task: MoleblendPretrainTask) -> None:
    for split in ("train", "valid"):
        task.load_dataset(split)
    train, valid = task.dataset("train"), task.dataset("valid")
    first = train.ordered_indices().tolist()
    train.set_epoch(2)
    assert sorted(first) == list(range(8)) == sorted(train.ordered_indices().tolist())
    assert first != train.ordered_indices().tolist()
    assert valid.ordered_indices().tolist() == [1, 0]
    assert (train.can_reuse_epoch_itr_across_epochs, valid.can_reuse_epoch_itr_across_epochs) == (False, True)


def test_batches_carry_their_row_numbers(task: MoleblendPretrainTask) -> None:
    task.load_dataset("train")
    dataset = task.dataset("train")
    batch = dataset.collater([dataset[np.int64(i)] for i in (2, 4)])
    assert batch["index"].tolist() == [2, 4]
    assert batch["net_input"]["atom_codes"].shape == (2, 12, 9)
    stored = [MoleculeStore(Path(task.args.data) / "train.lmdb")[index].row_id for index in (2, 4)]
    assert dataset.row_ids([2, 4]) == stored


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="nowhere: no such folder; make it with 'moleblend build"):
        task_of(tmp_path / "nowhere")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_named(tmp_path: Path, seed: int) -> None:
    with pytest.raises(MoleblendError, match=f"--seed {seed}: give a number from 0"):
        MoleblendPretrainTask.setup_task(arguments(tmp_path, seed=seed))


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    task = task_of(write_stores(tmp_path, {"train": [3]}))
    with pytest.raises(
        MoleblendError, match=r"valid\.lmdb does not exist, the folder holds train; build it with"
    ):
        task.load_dataset("valid")


def test_an_empty_store_is_named(tmp_path: Path) -> None:
    task = task_of(write_stores(tmp_path, {"train": [3], "valid": []}))
    with pytest.raises(MoleblendError, match="the store is empty"):
        task.load_dataset("valid")


def loss_of(task: MoleblendPretrainTask) -> MoleblendPretrainLoss:
    return MoleblendPretrainLoss(task, PretrainLossConfig(), 20.0)


def test_loss_sums_over_molecules_and_its_log_is_summable(task: MoleblendPretrainTask) -> None:
    """Batches of 2 and 1 molecules, each its mean times its size: sample sizes add up."""
    task.load_dataset("valid")
    dataset, loss = task.dataset("valid"), loss_of(task)
    torch.manual_seed(0)
    model = MoleBlend(PRESETS["moleblend_tiny"]).eval()
    total, size, logged = loss(model, dataset.collater([dataset[0], dataset[1]]))
    assert size == logged["bsz"] == logged["sample_size"] == 2
    assert float(logged["loss"]) == pytest.approx(total.item())
    weights = {"spd": 0.1, "edge": 0.1, "distance": 0.5, "denoise": 6.0}
    weighted = sum(weight * logged[f"{name}_loss"] for name, weight in weights.items())
    assert float(weighted) == pytest.approx(total.item(), rel=1e-5)
    _, _, single = loss(model, dataset.collater([dataset[0]]))
    assert list(single) == list(logged)  # fixed keys, whatever a batch holds
    assert all(isinstance(value, int) or value.dim() == 0 for value in logged.values())
    assert loss.logging_outputs_can_be_summed(True)


def test_reduced_metrics_weigh_molecules_and_targets(
    task: MoleblendPretrainTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, float] = {}
    monkeypatch.setattr(
        "moleblend_plugin.tasks.term_loss.log_scalar",
        lambda key, value, *args, **kw: seen.__setitem__(key, value),
    )
    outputs = [
        {"loss": 6.0, "sample_size": 2, "spd_loss": 2.0, "spd_score": 3, "spd_counted": 4},
        {"loss": 3.0, "sample_size": 1, "spd_loss": 4.0, "spd_score": 0, "spd_counted": 2},
    ]
    MoleblendPretrainLoss.reduce_metrics(outputs, "train")
    assert seen == {"loss": 3.0, "spd_loss": 2.0, "spd_accuracy": 0.5}


def test_blend_flags_reach_the_data(tmp_path: Path) -> None:
    folder = write_stores(tmp_path, {"train": [9, 9]})
    task = MoleblendPretrainTask.setup_task(arguments(folder, relation_probs=(1.0, 0.0, 0.0)))
    task.load_dataset("train")
    assert task.blend == BlendConfig((1.0, 0.0, 0.0))
    assert set(np.unique(task.dataset("train")[0]["pair_shown"])) == {1}


def test_gradient_norm_of_every_term_on_request(task: MoleblendPretrainTask) -> None:
    """Terms weighed 0 but one: the norm of that term is the norm of the whole gradient."""
    task.load_dataset("valid")
    batch = task.dataset("valid").collater([task.dataset("valid")[0]])
    config = PretrainLossConfig(0.0, 0.0, 2.0, 0.0, log_term_gnorm=True)
    loss = MoleblendPretrainLoss(task, config, 20.0)
    torch.manual_seed(0)
    model = MoleBlend(PRESETS["moleblend_tiny"]).eval()
    assert "distance_gnorm" not in loss.eval()(model, batch)[2]
    total, size, logged = loss.train()(model, batch)
    assert all(parameter.grad is None for parameter in model.parameters())
    total.backward()
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    whole = torch.stack(norms).norm().item()
    assert 2.0 * float(logged["distance_gnorm"]) / size == pytest.approx(whole / size, rel=1e-5)
    assert float(logged["spd_gnorm"]) > 0
