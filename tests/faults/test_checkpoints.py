"""Checkpoints with flipped or missing bytes are refused, or hold what was written."""

from __future__ import annotations

import os
import random
import signal
import time
from itertools import count
from pathlib import Path

import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.checkpoints.file import (
    DamagedCheckpoint,
    State,
    read_checkpoint,
    write_checkpoint,
)
from tests.faults.flips import count_outcomes, flip, truncate
from tests.trainer.same import assert_same


def make_state() -> State:
    """A run's state in small: weights, moments, and plain values around them."""
    made = torch.Generator().manual_seed(5)
    weights = {f"layer{number}.weight": torch.randn(16, 16, generator=made) for number in range(20)}
    moments = {number: {"step": 3, "exp_avg": torch.randn(16, 16, generator=made)} for number in range(20)}
    return {
        "model": weights,
        "last_optimizer_state": {"state": moments, "param_groups": [{"lr": 1e-3}]},
        "optimizer_history": [{"num_updates": 3, "loss_name": "Loss"}],
        "extra_state": {"train_iterator": {"epoch": 1, "iterations_in_epoch": 3}, "best": 0.25},
    }


def outcome_of(path: Path) -> str:
    try:
        state = read_checkpoint(path)
    except MoleblendError as error:
        return "refused" if "\n" not in str(error) else "WRONG"
    try:
        assert_same(make_state(), state)
    except AssertionError:
        return "WRONG"
    return "unchanged"


def test_flipped_and_missing_bytes_never_pass(tmp_path: Path, flips: int) -> None:
    write_checkpoint(make_state(), tmp_path, ["checkpoint_last.pt"])
    path = tmp_path / "checkpoint_last.pt"
    flipped = count_outcomes(path, outcome_of, flips, seed=11)
    cut = count_outcomes(path, outcome_of, flips // 5, seed=12, damage=truncate)
    print(f"\ncheckpoint: {flips} flipped bytes {dict(flipped)}, {flips // 5} cut off {dict(cut)}")
    # Padding between the pieces carries nothing: a flip there leaves what was written.
    assert set(flipped) <= {"refused", "unchanged"}
    assert flipped["refused"] > 0.6 * flips
    assert cut == {"refused": flips // 5}


def test_a_flip_in_a_weight_is_seen_and_the_piece_named(tmp_path: Path) -> None:
    """torch itself would load it: the value is as good as any other."""
    path = tmp_path / "checkpoint_last.pt"
    write_checkpoint(make_state(), tmp_path, [path.name])
    first = make_state()["model"]["layer0.weight"].numpy().tobytes()
    content = path.read_bytes()
    assert content.count(first) == 1
    path.write_bytes(content.replace(first, flip(first, random.Random(1))))
    assert torch.load(path, weights_only=True)["optimizer_history"] == make_state()["optimizer_history"]
    with pytest.raises(DamagedCheckpoint, match=r"is damaged \(\S+/data/0 differs from its checksum\)"):
        read_checkpoint(path)


def save_for_ever(folder: Path, done: int) -> None:
    """Write number after number under two names; tell each that is through on the pipe ``done``."""
    for number in count(1):
        state = make_state() | {"extra_state": {"number": number}}
        write_checkpoint(state, folder, ["checkpoint_best.pt", "checkpoint_last.pt"])
        os.write(done, b"%d\n" % number)


def test_kill_9_while_saving_leaves_intact_checkpoints(tmp_path: Path, rounds: int) -> None:
    """Nothing but saving, so that every kill falls into it; both names hold the last one told or the next."""
    rng, half_written = random.Random(13), 0
    for _ in range(5 * rounds):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:  # every way out must end the process, not the test run
            try:
                save_for_ever(tmp_path, into)
            finally:
                os._exit(1)
        os.close(into)
        with os.fdopen(out, "rb") as pipe:
            told = [pipe.readline()]  # one is through: now at any moment
            time.sleep(rng.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            told += pipe.readlines()
        half_written += any(tmp_path.glob(".checkpoint*tmp"))
        last = int(told[-1])
        for name in ("checkpoint_best.pt", "checkpoint_last.pt"):
            assert read_checkpoint(tmp_path / name)["extra_state"]["number"] in (last, last + 1)
    print(f"\nkill -9 while saving: {{'kills': {5 * rounds}, 'file half written': {half_written}}}")
