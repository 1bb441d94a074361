"""The property task wires labels, network and losses for a trainer."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.property.network import HeadConfig, PropertyConfig, encoder_part
from moleblend_plugin.tasks.layer_decay import LayerDecay, check_scaled_steps
from moleblend_plugin.tasks.property.loss import (
    MoleblendClassificationLoss,
    MoleblendRegressionLoss,
    PropertyLoss,
)
from moleblend_plugin.tasks.property.model import MoleblendPropertyModel
from moleblend_plugin.tasks.property.task import (
    MoleblendPropertyTask,
    PropertyTaskConfig,
    _make_room,
)
from moleblend_plugin.trainer.logging import metrics
from moleblend_plugin.trainer.loop.optim import AdamW, Optimizer
from tests.labelled import CLASSES, NAN, SMALL, class_tables, options, regression_tables, write_labelled


def task_of(folder: Path, loss: str = "moleblend_regression", **more: object) -> MoleblendPropertyTask:
    return MoleblendPropertyTask.setup_task(options(folder, loss, **more))


def model_of(outputs: int = 2, fresh_head: bool = False, layers: int = 2) -> MoleblendPropertyModel:
    torch.manual_seed(layers)
    config = ModelConfig(layers, 16, 16, 4, 8, 4)
    model = MoleblendPropertyModel(config, PropertyConfig(outputs, "regression", HeadConfig()))
    model.fresh_head = fresh_head
    return model


# --- labels ---------------------------------------------------------------------------------------------


def test_columns_are_all_or_those_named(tmp_path: Path) -> None:
    folder = write_labelled(tmp_path, regression_tables())
    task = task_of(folder)
    assert task.args.target_names == ["a", "b"]
    assert task_of(folder, target_columns="b, a").args.target_names == ["b", "a"]
    values = np.array(regression_tables()["train"])
    np.testing.assert_allclose(task.labels.mean, np.nanmean(values, 0))
    model = MoleblendPropertyModel.build_model(task.args, task)
    np.testing.assert_allclose(model.target_std, np.nanstd(values, 0), rtol=1e-6)


def test_a_column_has_its_place_in_each_store(tmp_path: Path) -> None:
    write_labelled(tmp_path, {"train": [[1.0, 2.0], [3.0, 4.0]]}, ("a", "b"))
    write_labelled(tmp_path, {"valid": [[5.0, 6.0]]}, ("b", "a"))
    task = task_of(tmp_path, target_columns="a")
    task.load_dataset("valid")
    assert task.dataset("valid")[0]["targets"].tolist() == [6.0]


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        ((), "all", r"train\.lmdb holds no labels; build it again with --target-columns"),
        (("expt", "calc"), "EXPT_", r"no column 'EXPT_' \(did you mean 'expt'\?\); it holds expt, calc"),
        (("expt", "calc"), "expt,expt", "name every column once"),
    ],
)
def test_columns_that_are_not_there(
    tmp_path: Path, names: tuple[str, ...], wanted: str, message: str
) -> None:
    write_labelled(tmp_path, {"train": [[1.0] * len(names)] * 2}, names)
    with pytest.raises(MoleblendError, match=message):
        task_of(tmp_path, target_columns=wanted)


@pytest.mark.parametrize(
    ("loss", "train", "message"),
    [
        ("moleblend_regression", [[NAN], [NAN]], "every label of y is missing in train"),
        (CLASSES, [[1.0], [1.0], [NAN]], "train: y has one class only, so there is nothing to learn"),
        (CLASSES, [[1.0], [0.5]], r"made:1: column 'y' holds 0\.5, but classes are 0 and 1"),
        (
            "moleblend_pretrain",
            [[1.0]],
            "--loss moleblend_pretrain does not go with --task moleblend_property",
        ),
    ],
)
def test_labels_that_teach_nothing(tmp_path: Path, loss: str, train: list[list[float]], message: str) -> None:
    write_labelled(tmp_path, {"train": train}, ("y",))
    with pytest.raises(MoleblendError, match=message):
        task_of(tmp_path, loss)


def test_one_class_in_some_tasks_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tables = {"train": [[1.0, 1.0], [0.0, 1.0]], "valid": [[0.0, 1.0], [1.0, 1.0]]}
    task = task_of(write_labelled(tmp_path, tables), CLASSES)
    task.load_dataset("valid")
    assert "train: one class only (or no label) in b" in caplog.text
    assert "valid: b lack a class; roc_auc and pr_auc leave them out" in caplog.text


@pytest.mark.parametrize(
    ("valid", "message"),
    [
        ([[NAN, NAN]], "every label of a, b is missing in valid, so nothing can be measured"),
        ([[1.0, NAN], [1.0, 0.0]], "valid: no column has both classes, so roc_auc does not exist"),
    ],
)
def test_a_validation_that_measures_nothing(tmp_path: Path, valid: list[list[float]], message: str) -> None:
    write_labelled(tmp_path, class_tables() | {"valid": valid})
    metric = {"best_checkpoint_metric": "roc_auc", "maximize_best_checkpoint_metric": True}
    task = task_of(tmp_path, CLASSES, **metric)
    with pytest.raises(MoleblendError, match=message):
        task.load_dataset("valid")


@pytest.mark.parametrize(
    ("loss", "metric", "maximize", "remedy"),
    [
        (CLASSES, "roc_auc", False, "add --maximize-best-checkpoint-metric"),
        ("moleblend_regression", "rmse", True, "remove --maximize-best-checkpoint-metric"),
    ],
)
def test_the_worst_checkpoint_is_not_the_best(
    tmp_path: Path, loss: str, metric: str, maximize: bool, remedy: str
) -> None:
    write_labelled(tmp_path, class_tables())
    with pytest.raises(MoleblendError, match=remedy):
        task_of(tmp_path, loss, best_checkpoint_metric=metric, maximize_best_checkpoint_metric=maximize)


def test_molecules_without_3d_are_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_labelled(tmp_path, {"train": [[1.0, 2.0], [2.0, 3.0]]}, conformers=0)
    task_of(tmp_path, input_mode="2d")
    assert "no 3D" not in caplog.text
    task_of(tmp_path, input_mode="both")
    told = [record.message for record in caplog.records if "no 3D" in record.message]
    assert len(told) == 1
    assert "train: 2 of 2 molecules have no 3D and show their 2D relations" in told[0]
    assert "--conformers" in told[0]


@pytest.mark.parametrize("decay", [0.0, 1.5, -1.0])
def test_impossible_layer_decay(decay: float) -> None:
    with pytest.raises(MoleblendError, match="--layer-lr-decay"):
        PropertyTaskConfig(layer_lr_decay=decay)


# --- updates --------------------------------------------------------------------------------------------


def losses_of(task: MoleblendPropertyTask, model: torch.nn.Module, parts: list[list[int]]) -> list[float]:
    """Gradient of one update made of ``parts``, as the trainer normalises it."""
    loss = MoleblendRegressionLoss.build_loss(task.args, task).train()
    dataset, labels = task.dataset("train"), 0
    model.zero_grad()
    for part in parts:
        value, count, _ = loss(model, dataset.collater([dataset[index] for index in part]))
        value.backward()
        labels += int(count)
    return [float(p.grad.norm()) / labels for p in model.parameters() if p.grad is not None]


def test_an_update_is_the_same_however_molecules_fall_into_batches(tmp_path: Path) -> None:
    task = task_of(write_labelled(tmp_path, regression_tables(8)))
    task.load_dataset("train")
    model = MoleblendPropertyModel.build_model(task.args, task).eval()  # no dropout
    whole = losses_of(task, model, [list(range(8))])
    for parts in ([[0], [1, 2, 3, 4, 5, 6, 7]], [[7, 2, 0], [4, 1], [3, 5, 6]]):
        assert losses_of(task, model, parts) == pytest.approx(whole, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_layer_decay_equals_a_learning_rate_per_layer(weight_decay: float) -> None:
    """torch's AdamW with a group per layer, over steps with other gradients and learning rates."""
    ours, theirs = model_of(), model_of()
    plain = torch.optim.AdamW(ours.parameters(), lr=0.0, weight_decay=weight_decay)
    groups = [{"params": [parameter], "scale": 0.5**depth} for parameter, depth in theirs.layer_depths()]
    grouped = torch.optim.AdamW(groups, lr=0.0, weight_decay=weight_decay)
    decay = LayerDecay(ours.layer_depths(), 0.5)
    generator = torch.Generator().manual_seed(0)
    for lr in (1e-2, 3e-2, 1e-2):
        for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
            left.grad = torch.randn(left.shape, generator=generator)
            right.grad = left.grad.clone()
        plain.param_groups[0]["lr"] = lr
        for group in grouped.param_groups:
            group["lr"] = lr * group["scale"]
        with decay:
            plain.step()
        grouped.step()
    for (name, left), right in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6, msg=name)


def test_the_task_slows_lower_layers(tmp_path: Path) -> None:
    task = task_of(write_labelled(tmp_path, regression_tables()), layer_lr_decay=0.1)
    model = MoleblendPropertyModel.build_model(task.args, task)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    task.optimizer_step(Optimizer(AdamW(model.parameters(), lr=1e-2, weight_decay=0)), model, 0)
    for name, lr in (("head.out.bias", 1e-2), ("encoder.layers.1.ffn_in.bias", 1e-3)):
        moved = (before[name] - model.state_dict()[name]).abs()
        torch.testing.assert_close(moved, torch.full_like(moved, lr), rtol=1e-3, atol=0)


def test_layer_decay_in_half_precision_under_uni_core(tmp_path: Path) -> None:
    args = options(tmp_path, bf16=True)
    check_scaled_steps(args, "--layer-lr-decay", "embedded")
    with pytest.raises(MoleblendError, match="--layer-lr-decay with --bf16 is not possible under Uni-Core"):
        check_scaled_steps(args, "--layer-lr-decay", "unicore")


def test_uni_core_has_room_for_the_rows_of_a_batch(tmp_path: Path) -> None:
    args = options(tmp_path, batch_size_valid=256, all_gather_list_size=16384, target_names=["t"] * 128)
    _make_room(args, "unicore")
    assert args.all_gather_list_size > 256 * 128 * 2 * 4


# --- validation -----------------------------------------------------------------------------------------


def outputs_of(loss: PropertyLoss, task: MoleblendPropertyTask, size: int) -> list[dict[str, object]]:
    model = MoleblendPropertyModel.build_model(task.args, task).eval()
    dataset = task.dataset("valid")
    batches = dataset.batch_by_size(dataset.ordered_indices(), size)
    with torch.no_grad():
        return [loss.eval()(model, dataset.collater([dataset[i] for i in part]))[2] for part in batches]


def logged(loss: PropertyLoss, outputs: list[dict[str, object]]) -> dict[str, float]:
    with metrics.aggregate(new_root=True) as meters:
        type(loss).reduce_metrics(outputs, "valid")
    values = meters.get_smoothed_values(rounded=False)
    return {name: float(value) for name, value in values.items() if value is not None}


@pytest.mark.parametrize("size", [1, 4, 100])
def test_validation_counts_every_molecule_once(tmp_path: Path, size: int) -> None:
    """Whatever the batches and their order; scikit-learn on averaged conformers."""
    task = task_of(write_labelled(tmp_path, regression_tables(), conformers=3))
    task.load_dataset("valid")
    loss = MoleblendRegressionLoss.build_loss(task.args, task)
    torch.manual_seed(0)
    outputs = outputs_of(loss, task, size)
    assert sum(len(output["index"]) for output in outputs) == 7 * 3  # type: ignore[arg-type]
    values = logged(loss, outputs[::-1])
    torch.manual_seed(0)
    model = MoleblendPropertyModel.build_model(task.args, task).eval()
    dataset, predictions = task.dataset("valid"), np.zeros((7, 2))
    for index in range(len(dataset)):
        batch = dataset.collater([dataset[index]])
        with torch.no_grad():
            predictions[int(batch["index"])] += model.predict(**batch["net_input"])[0].numpy() / 3
    labels = np.array(regression_tables()["valid"])
    known = ~np.isnan(labels[:, 1])
    expected = [
        mean_absolute_error(labels[:, 0], predictions[:, 0]),
        mean_absolute_error(labels[known, 1], predictions[known, 1]),
    ]
    assert values["mae"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert set(values) == {"loss", "rmse", "mae", "r2", "spearman"}


def test_classification_is_scored_on_probabilities(tmp_path: Path) -> None:
    tables = class_tables() | {"valid": [[0.0, 1.0], [1.0, 1.0], [1.0, NAN], [0.0, 1.0]]}
    task = task_of(write_labelled(tmp_path, tables, conformers=2), CLASSES, class_weights="balanced")
    task.load_dataset("valid")
    loss = MoleblendClassificationLoss.build_loss(task.args, task)
    assert loss.positive_weight is not None
    assert loss.positive_weight.tolist() == pytest.approx(task.labels.negatives / task.labels.positives)
    values = logged(loss, outputs_of(loss, task, 3))
    assert values["tasks_counted"] == 1  # the second column has one class
    outputs = outputs_of(loss, task, 100)[0]
    rows = np.array(outputs["predictions"])
    assert ((rows > 0) & (rows < 1)).all()
    assert {"loss", "roc_auc", "pr_auc", "tasks_counted"} == set(values)


def test_training_outputs_can_be_summed_and_validations_not(tmp_path: Path) -> None:
    task = task_of(write_labelled(tmp_path, regression_tables()))
    task.load_dataset("train")
    loss = MoleblendRegressionLoss.build_loss(task.args, task)
    assert (loss.logging_outputs_can_be_summed(True), loss.logging_outputs_can_be_summed(False)) == (
        True,
        False,
    )
    dataset = task.dataset("train")
    model = MoleblendPropertyModel.build_model(task.args, task)
    _, labels, output = loss.train()(model, dataset.collater([dataset[0], dataset[1]]))
    assert set(output) == {"loss", "bsz", "sample_size"}
    assert (int(labels), output["bsz"]) == (3, 2)  # one of four labels is missing


# --- weights --------------------------------------------------------------------------------------------


def test_fine_tuning_takes_the_encoder_and_a_fresh_head(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pretrained, model = MoleBlend(SMALL).state_dict(), model_of(fresh_head=True)
    model.load_state_dict(pretrained, strict=False)
    for name, value in encoder_part(model.state_dict()).items():
        assert torch.equal(value, pretrained[name]), name
    other = model_of(outputs=5)
    other.set_target_scale(torch.full((5,), 7.0), torch.full((5,), 2.0))
    kept = model.head.out.weight.clone()
    model.load_state_dict(other.state_dict(), strict=False)  # another number of labels
    assert torch.equal(model.head.out.weight, kept)
    assert model.target_mean.tolist() == [0.0, 0.0]
    assert "its encoder is taken, the head begins afresh" in caplog.text


def test_going_on_takes_head_and_scale() -> None:
    model, other = model_of(), model_of()
    other.set_target_scale(torch.tensor([7.0, 8.0]), torch.tensor([2.0, 3.0]))
    model.load_state_dict(other.state_dict(), strict=False)
    assert model.target_mean.tolist() == [7.0, 8.0]


@pytest.mark.parametrize("layers", [1, 3])
def test_an_encoder_of_another_depth_is_refused(layers: int) -> None:
    with pytest.raises(MoleblendError, match=r"the checkpoint's encoder differs: .*encoder\.layers\."):
        model_of(fresh_head=True, layers=layers).load_state_dict(MoleBlend(SMALL).state_dict(), strict=False)
