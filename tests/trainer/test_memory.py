"""A batch that does not fit into memory is computed in pieces and gives the same update."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.loop.split_batch import rows_of, split_batch
from moleblend_plugin.trainer.trouble.out_of_memory import BatchPart, is_out_of_memory, more_parts
from tests.trainer.test_processes import assert_same_run
from tests.trainer.test_processes import run as run_processes

OPTIONS = ("--max-epoch", 2, "--batch-size", 8, "--update-freq", 2, "--weight-decay", 0.1, "--clip-norm", 1)


# 36 samples: batches of 8 and a last one of 4; memory 5 needs pieces of 4, memory 1 single samples.
@pytest.mark.parametrize(("memory", "cuts"), [(7, 1), (5, 1), (2, 2), (1, 3)])
def test_pieces_give_the_update_of_the_whole(train: Callable[..., Any], memory: int, cuts: int) -> None:
    whole = train(*OPTIONS, data=36, into="whole")
    pieces = train(*OPTIONS, "--toy-memory", memory, data=36, into="pieces")
    assert pieces.code == 0, pieces.err
    assert [event["loss"] for event in pieces.events("train_inner")] == pytest.approx(
        [event["loss"] for event in whole.events("train_inner")], rel=1e-6
    )
    for name, value in whole.state()["model"].items():
        torch.testing.assert_close(pieces.state()["model"][name], value, rtol=1e-6, atol=1e-6)
    if memory == 5:  # four batches of 8 per epoch; the one of 4 fits
        assert pieces.events("train_inner")[-1]["oom_retries"] == 8
    assert pieces.out.count("out of memory on 8 samples") == 8
    assert "oom_retries" not in whole.events("train_inner")[-1]
    assert f"again in {2**cuts} pieces" in pieces.out


def test_the_count_goes_on_after_a_restart(train: Callable[..., Any]) -> None:
    train("--max-update", 2, "--toy-memory", 2)
    again = train("--max-update", 5, "--toy-memory", 2)
    assert [event["oom_retries"] for event in again.events("train_inner")] == [1, 2, 3, 4, 5]


def test_a_sample_that_does_not_fit_alone_ends_the_run(train: Callable[..., Any]) -> None:
    run = train("--max-update", 2, "--toy-memory", 0, "--curriculum", 1)
    assert run.code == 2
    assert run.err.startswith("error: out of memory on one sample alone (item 0 of the training data)")
    assert run.err.count("\n") == 1


def test_pieces_of_a_batch_keep_order_and_share_what_is_no_row() -> None:
    batch = {
        "net_input": {"x": torch.arange(10).view(5, 2), "scale": torch.tensor(3.0), "shared": torch.ones(2)},
        "names": list("abcde"),
        "array": np.arange(5),
        "index": torch.arange(5),
        "note": "one for all",
    }
    first, second = split_batch(batch, 2)
    assert (first["index"].tolist(), second["index"].tolist()) == ([0, 1], [2, 3, 4])
    assert second["net_input"]["x"].tolist() == [[4, 5], [6, 7], [8, 9]]
    assert (first["names"], second["array"].tolist()) == (["a", "b"], [2, 3, 4])
    for piece in (first, second):
        assert piece["net_input"]["shared"].shape == (2,)
        assert (float(piece["net_input"]["scale"]), piece["note"]) == (3.0, "one for all")
    assert [rows_of(piece) for piece in split_batch(batch, 99)] == [1] * 5
    assert split_batch(batch, 1) == [batch]


@pytest.mark.parametrize(
    ("batch", "rows"),
    [({"index": [4, 5]}, 2), ({"a": {"s": torch.tensor(1), "x": torch.ones(3, 7)}}, 3), ({"a": "text"}, 0)],
)
def test_rows_of_a_batch(batch: dict[str, dict[str, Tensor] | list[int] | str], rows: int) -> None:
    assert rows_of(batch) == rows


def test_pieces_double_up_to_single_samples(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    part = BatchPart(0, 0, {"index": torch.arange(3)})
    assert [more_parts(part, 6, 1), more_parts(part, 6, 2), more_parts(part, 6, 4)] == [2, 4, 6]
    assert "out of memory on 3 samples: trying the batch of 6 again in 6 pieces" in caplog.text
    with pytest.raises(MoleblendError, match="use a smaller model"):
        more_parts(BatchPart(0, 0, {"x": torch.ones(1, 2)}), 6, 6)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Any, is_one: bool) -> None:
    assert is_out_of_memory(error) is is_one


@pytest.mark.long
def test_processes_cut_their_batches_each_for_itself(train: Callable[..., Any], tmp_path: Path) -> None:
    """Batches of 5, 5 and 4, and one of 5 to stand in for the fourth: three of each epoch are too large."""
    plain = ("--max-epoch", 2, "--batch-size", 5, "--disable-validation")
    whole = train(*plain, "--update-freq", 2, data=14, into="whole")
    two = run_processes(tmp_path / "two", *plain, "--distributed-world-size", 2, "--toy-memory", 4, data=14)
    assert two.code == 0, two.err
    assert two.events("train_inner")[-1]["oom_retries"] == 6
    assert_same_run(whole, two, 4, 0)
