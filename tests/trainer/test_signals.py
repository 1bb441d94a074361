"""SIGTERM and SIGINT: the update in flight is finished and saved, and going on is exact."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from moleblend_plugin.trainer.loop.batches import EpochBatches
from moleblend_plugin.trainer.trouble.signals import STOP, Interrupted, guard_worker
from tests.trainer.conftest import Run
from tests.trainer.same import assert_same
from tests.trainer.test_resume import BASE, comparable

OPTIONS = (*BASE, "--update-freq", 2, "--validate-interval-updates", 2, "--toy-reorder")
LAST_UPDATE = 13  # 5 updates per epoch: three epochs begin


@pytest.fixture
def strike(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``strike(7)``: the process gets a signal in the forward pass of the seventh batch of this command."""

    def plan(call: Any, number: Any = signal.SIGTERM, *, training: bool = True) -> None:
        from toy_plugin import ToyLoss

        plain, calls = ToyLoss.forward, [0]

        def forward(self: Any, model: Any, sample: Any, reduce: bool = True) -> Any:
            calls[0] += self.training == training
            if calls[0] == call and self.training == training:
                calls[0] += 1000
                os.kill(os.getpid(), number)
            return plain(self, model, sample, reduce)

        monkeypatch.setattr(ToyLoss, "forward", forward)

    return plan


def straight_and_stopped(
    train: Callable[..., Any],
    strike: Callable[..., Any],
    call: int,
    number: Any = signal.SIGTERM,
    *,
    again: tuple[str, int] = (),
    **where: bool,
) -> tuple[Run, Run, Run]:
    """An uninterrupted run, one that gets a signal, and the latter after it was taken up again."""
    straight = train(*OPTIONS, "--max-update", LAST_UPDATE, into="straight")
    strike(call, number, **where)
    stopped = train(*OPTIONS, "--max-update", LAST_UPDATE, into="halves")
    resumed = train(*OPTIONS, "--max-update", LAST_UPDATE, *again, into="halves")
    assert straight.code == resumed.code == 0
    return straight, stopped, resumed


def numbers(run: Run, kind: str) -> list[tuple[float | None, ...]]:
    keys = ("epoch", "num_updates", "loss", "abs", "lr", "gnorm")
    return [tuple(event.get(key) for key in keys) for event in run.events(kind)]


# Two batches per update: update 5 (calls 9, 10) ends an epoch, 13 (calls 25, 26) the run; 2, 4, ... validate.
@pytest.mark.parametrize("call", [1, 2, 10, 26, *random.Random(21).sample(range(3, 25), 2)])
def test_a_run_that_was_stopped_equals_one_that_was_not(
    train: Callable[..., Any], strike: Callable[..., Any], call: int
) -> None:
    straight, stopped, resumed = straight_and_stopped(train, strike, call)
    assert stopped.code == 143
    update = (call + 1) // 2
    assert stopped.err == (
        f"SIGTERM: stopped after update {update}, saved {stopped.folder / 'checkpoint_last.pt'}: "
        "run the same command again to resume\n"
    )
    assert_same(comparable(straight.state()), comparable(resumed.state()))
    for kind in ("train_inner", "valid", "train"):
        assert numbers(resumed, kind) == numbers(straight, kind), kind
    assert resumed.names() == straight.names()


# Validation has 5 batches and comes after updates 2, 4, 5, ...: batch 13 is in that of the epoch's end.
@pytest.mark.parametrize("call", [3, 13])
def test_validation_stops_soon_and_is_repeated(
    train: Callable[..., Any], strike: Callable[..., Any], call: int
) -> None:
    straight, stopped, resumed = straight_and_stopped(
        train, strike, call, signal.SIGINT, training=False, again=("--num-workers", 2)
    )
    assert stopped.code == 130
    assert "SIGINT: stopped after update" in stopped.err
    assert_same(comparable(straight.state()), comparable(resumed.state()))
    for kind in ("train_inner", "valid", "train"):
        assert numbers(resumed, kind) == numbers(straight, kind), kind


def test_without_saving_it_says_so(train: Callable[..., Any], strike: Callable[..., Any]) -> None:
    strike(3)
    stopped = train("--max-update", 9, "--no-save")
    assert stopped.code == 143
    assert stopped.err == "SIGTERM: stopped after update 3; --no-save: nothing is kept\n"


def test_before_training_it_ends_at_once(train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from toy_plugin import ToyTask

    monkeypatch.setattr(ToyTask, "load_dataset", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    stopped = train("--max-update", 9)
    assert stopped.code == 143
    assert stopped.err == "SIGTERM: stopped before the first update: nothing to save\n"


def test_handlers_are_put_back(train: Callable[..., Any]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    train("--max-update", 1)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def leaving_code(act: Callable[..., Any]) -> int:
    """Exit code of a fork that listens and runs ``act``."""
    child = os.fork()
    if child == 0:  # every way out must end the process, not the test run
        multiprocessing.process._children.clear()  # type: ignore[attr-defined]  # such as joblib's of other tests
        try:
            with STOP.listening(), STOP.deferred(several=False):
                act()
        finally:
            os._exit(77)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_second_signal_leaves_at_once() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    assert leaving_code(twice) == 130


def test_one_signal_is_only_noted() -> None:
    assert leaving_code(lambda: os.kill(os.getpid(), signal.SIGTERM)) == 77


def test_what_a_launcher_passes_on_at_once_is_the_same_wish() -> None:
    with STOP.listening(), STOP.deferred(several=True):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert STOP.number == signal.SIGTERM
    assert Interrupted(signal.SIGTERM).exit_code == 143


class Slow(torch.utils.data.Dataset):
    supports_prefetch = False

    def __len__(self) -> Any:
        return 40

    def __getitem__(self, index: Any) -> Any:
        time.sleep(0.02)
        return index

    def set_epoch(self, epoch: Any) -> None:
        pass

    def collater(self, samples: Any) -> Any:
        return {"pid": os.getpid(), "items": samples}


def test_workers_outlive_a_signal_to_the_group() -> None:
    batches = EpochBatches(Slow(), [[i, i + 1] for i in range(0, 40, 2)], num_workers=2)
    seen, struck = [], False
    for batch in batches.iterate(shuffle=False):
        seen += batch["items"]
        if not struck:
            os.kill(batch["pid"], signal.SIGTERM)
            os.kill(batch["pid"], signal.SIGINT)
            struck = True
    assert seen == list(range(40))
    assert isinstance(batches._loader([]), DataLoader)


def test_a_worker_leaves_where_its_trainer_is_gone() -> None:
    """In a fork of its own: a parent that is not the trainer ends the worker before it reads anything."""
    for trainer, code in ((os.getpid(), 7), (os.getpid() + 1, 0)):
        child = os.fork()
        if child == 0:
            guard_worker(0, trainer)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
