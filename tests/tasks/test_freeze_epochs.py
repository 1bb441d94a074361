"""``--freeze-epochs``: the encoder stays as it was for some epochs, then learns as if the run began there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.property.gin import GinConfig, GinProperty
from moleblend_plugin.models.property.network import ENCODER, PropertyConfig, PropertyNet
from moleblend_plugin.trainer.checkpoints.file import State, read_checkpoint
from tests.labelled import SMALL, fit, regression_tables, write_labelled
from tests.models.test_property import inputs

DECAYED = ("--weight-decay", "0.1", "--dropout", "0.3", "--clip-norm", "1", "--save-interval", "1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("store"), regression_tables())


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("pretrained") / "pretrained.pt"
    torch.save({"model": MoleBlend(SMALL).state_dict()}, path)
    return path


def encoder_of(path: Path) -> dict[str, Tensor]:
    return {name: value for name, value in read_checkpoint(path, ("model",))["model"].items()
            if name.startswith(ENCODER)}  # fmt: skip


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_the_encoder_begins_to_learn_after_the_frozen_epochs(
    data: Path, pretrained: Path, tmp_path: Path
) -> None:
    """Weight decay is on; three updates an epoch of two batches each."""
    fit(data, tmp_path, *DECAYED, "--finetune-from-model", pretrained, "--freeze-epochs", 2, "--max-epoch", 3,
        "--update-freq", 2, "--batch-size", 4)  # fmt: skip
    begin = encoder_of(pretrained)
    first, second, third = (tmp_path / f"checkpoint{epoch}.pt" for epoch in (1, 2, 3))
    assert same(encoder_of(first), begin)
    assert same(encoder_of(second), begin)
    moved = encoder_of(third)
    assert not any(torch.equal(moved[name], begin[name]) for name in begin if "layers" in name)
    steps = {value["step"] for value in read_checkpoint(second)["last_optimizer_state"]["state"].values()}
    assert steps == {6}  # the head's: frozen weights have no moments yet
    steps = {value["step"] for value in read_checkpoint(third)["last_optimizer_state"]["state"].values()}
    assert steps == {3, 9}


def parts_equal(left: State, right: State) -> None:
    assert same(left["model"], right["model"])
    moments, others = (state["last_optimizer_state"]["state"] for state in (left, right))
    for number, values in moments.items():
        assert all(torch.equal(torch.as_tensor(values[key]), torch.as_tensor(others[number][key]))
                   for key in values)  # fmt: skip


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_run_is_taken_up_within_and_after_the_frozen_epochs(
    data: Path, pretrained: Path, tmp_path: Path, first: int
) -> None:
    more = (*DECAYED, "--finetune-from-model", pretrained, "--freeze-epochs", 2)
    fit(data, tmp_path / "straight", *more, "--max-epoch", 4)
    fit(data, tmp_path / "parts", *more, "--max-epoch", first)
    fit(data, tmp_path / "parts", *more, "--max-epoch", 4)
    parts_equal(*(read_checkpoint(tmp_path / run / "checkpoint4.pt") for run in ("straight", "parts")))


def test_no_frozen_epochs_are_the_default(data: Path, pretrained: Path, tmp_path: Path) -> None:
    more = (*DECAYED, "--finetune-from-model", pretrained, "--max-epoch", 1)
    fit(data, tmp_path / "plain", *more)
    fit(data, tmp_path / "none", *more, "--freeze-epochs", 0)
    parts_equal(*(read_checkpoint(tmp_path / run / "checkpoint1.pt") for run in ("plain", "none")))
    assert not same(encoder_of(tmp_path / "plain" / "checkpoint1.pt"), encoder_of(pretrained))


def test_a_negative_number_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(MoleblendError, match="--freeze-epochs -1 is too small"):
        fit(data, tmp_path, "--max-epoch", 1, "--freeze-epochs", -1)


@pytest.mark.parametrize("kind", ["transformer", "gin"])
def test_what_is_held_runs_without_dropout_and_gets_no_gradient(kind: str) -> None:
    torch.manual_seed(0)
    labels = PropertyConfig(2, "regression")
    model = PropertyNet(SMALL, labels) if kind == "transformer" else GinProperty(GinConfig(2, 16), labels)
    model.hold_encoder(True)
    model.train()
    training = {name for name, module in model.named_modules() if module.training and name}
    assert training == {name for name, _ in model.named_modules() if name.startswith("head")}
    model(**inputs([5, 7])).sum().backward()
    below = [parameter for parameter, depth in model.layer_depths() if depth > 0]
    assert all(parameter.grad is None for parameter in below)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)  # as an exchange between processes leaves it
    model.drop_held_gradients()
    assert all(parameter.grad is None for parameter in below)
    assert all(parameter.grad is not None for parameter in model.head.parameters())
    model.hold_encoder(False)
    assert all(module.training for module in model.modules())
    with torch.no_grad():
        assert not model(**inputs([5, 7])).requires_grad
    model(**inputs([5, 7])).sum().backward()
    assert all(parameter.grad is not None for parameter in below)
