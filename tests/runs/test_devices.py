"""One place chooses devices; Apple's GPU (mps) is known without one being here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.metrics.collapse import anchor_perplexity
from moleblend_plugin.runs import devices
from moleblend_plugin.runs.devices import available, choose_device, device_type, generators_kept
from moleblend_plugin.trainer.loop import engine
from moleblend_plugin.trainer.nodes.processes import Processes
from tests.checkpoints import pretraining_checkpoint, property_checkpoint


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine on which torch says that there is Apple's GPU, and no CUDA; its memory is the CPU's."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: torch.zeros(2), raising=False)
    given_back = []
    monkeypatch.setattr(torch.mps, "set_rng_state", given_back.append, raising=False)
    zeros = torch.zeros
    monkeypatch.setattr(devices.torch, "zeros", lambda *size, device=None: zeros(*size))
    return given_back


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    zeros = torch.zeros
    monkeypatch.setattr(devices.torch, "zeros", lambda *size, device=None: zeros(*size))


def test_auto_takes_apple_s_gpu_where_torch_says_that_it_is_there(apple: list[Any]) -> None:
    assert available() == ("mps", "cpu")
    assert [choose_device(name).type for name in ("auto", "mps", "cpu", "MPS")] == [
        "mps",
        "mps",
        "cpu",
        "mps",
    ]
    assert (device_type(), device_type(cpu=True)) == ("mps", "cpu")


def test_auto_takes_the_first_cuda_gpu_before_apple_s(apple: list[Any], three_gpus: None) -> None:
    assert available() == ("cuda:0", "cuda:1", "cuda:2", "mps", "cpu")
    assert [str(choose_device(name)) for name in ("auto", "cuda", "cuda:2")] == ["cuda:0", "cuda:0", "cuda:2"]
    with pytest.raises(MoleblendError, match=r"'cuda:3' cannot be used here \(torch sees 3 CUDA"):
        choose_device("cuda:3")


@pytest.mark.parametrize("name", ["mps", "cuda", "cuda:1", "gpu", "", "meta", "cpu:1", "mps:1"])
def test_a_refusal_lists_what_may_be_named_and_what_is_here(name: str) -> None:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("for machines without a GPU")
    with pytest.raises(MoleblendError) as caught:
        choose_device(name)
    told = str(caught.value)
    assert told.startswith(f"device {name!r} cannot be used here (")
    assert told.endswith("give one of auto, cpu, cuda, cuda:N, mps (there are here: cpu)")
    assert "\n" not in told
    assert len(told) < 200


def test_a_device_that_torch_only_claims_to_have_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("for machines without it")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MoleblendError, match="device 'auto', which is 'mps' here, cannot be used here"):
        choose_device("auto")


def options(**more: int) -> argparse.Namespace:
    given = {"cpu": False, "fp16": False, "bf16": False, "distributed_world_size": 1, "ddp_backend": "c10d"}
    return argparse.Namespace(**given | {"distributed_backend": "nccl"} | more)


def test_the_trainer_takes_apple_s_gpu(apple: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}
    monkeypatch.setattr("lightning_fabric.Fabric", lambda **given: made.update(given))
    engine.build_fabric(options())
    assert made["accelerator"] == "mps"
    assert made["strategy"].root_device == torch.device("mps")
    assert engine.build_fabric(options(cpu=True)).device.type == "cpu"
    engine.build_fabric(options(cpu=True, bf16=True))
    assert (made["accelerator"], made["strategy"].root_device.type) == ("cpu", "cpu")
    assert engine._precision(options(bf16=True)).device == "mps"


def test_what_apple_s_gpu_cannot_do_is_refused(apple: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    two = Processes(2, 2, False, environment=None)
    monkeypatch.setattr(engine, "find_processes", lambda args: two)
    with pytest.raises(MoleblendError, match="2 processes cannot share Apple's GPU"):
        engine.build_fabric(options(distributed_world_size=2))


def test_float16_is_told_to_be_cuda_s(apple: list[Any], train: Callable[..., Any]) -> None:
    run = train("--max-update", 1, "--fp16")
    assert run.code == 2
    assert "--fp16 needs a GPU of CUDA, not Apple's (mps): use --bf16, or neither" in run.err


def test_generators_are_given_back(apple: list[Any]) -> None:
    torch.manual_seed(3)
    expected = torch.get_rng_state()
    with generators_kept():
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), expected)
    assert len(apple) == 1


class NoDoubles(TorchDispatchMode):
    """Refuses float64 as Apple's GPU does, whatever device it is on."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float64:
                raise TypeError(f"float64 does not exist here: {func}")
        return out


def test_training_needs_no_float64(tmp_path: Path) -> None:
    """Forward, loss, backward, clipping and the optimiser, of pretraining and of both kinds of labels."""
    with NoDoubles():
        pretraining_checkpoint(tmp_path)
        property_checkpoint(tmp_path / "y.pt")
        property_checkpoint(tmp_path / "c.pt", kind="classification")


class OnApple:
    """A result that is on Apple's GPU: it can be copied to the CPU, and nothing else."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __len__(self) -> Any:
        return len(self._values)

    def cpu(self) -> Any:
        return self._values


def test_results_become_float64_on_the_cpu() -> None:
    predictor = Predictor.__new__(Predictor)
    predictor._model = argparse.Namespace(predict=lambda **_: OnApple(torch.ones(2, 1)))
    (first, _) = predictor._predict({})
    assert (first.dtype, first.tolist()) == ("float64", [1.0])
    assert anchor_perplexity(OnApple(torch.full((3, 4), 0.25))) == pytest.approx(4)
