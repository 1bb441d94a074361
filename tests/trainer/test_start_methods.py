"""Data workers under every start method of multiprocessing, and what is said when one is lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.stopping import how_ended
from moleblend_plugin.trainer.loop.batches import EpochBatches
from moleblend_plugin.trainer.trouble.signals import guard_worker
from tests.trainer.conftest import TOY
from tests.trainer.test_batches import Numbers
from tests.trainers import ROOT

METHODS = [
    method for method in ("fork", "forkserver", "spawn") if method in multiprocessing.get_all_start_methods()
]


def run_python(code: str, *words: Path | float | str, **environment: Any) -> subprocess.CompletedProcess[str]:
    given = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, env=given, timeout=280
    )
    return done


TRAIN = """
import multiprocessing, sys
multiprocessing.set_start_method(sys.argv[1])
from moleblend_plugin.trainer.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    "method", [METHODS[1], *(pytest.param(name, marks=pytest.mark.long) for name in METHODS[2:])]
)
def test_a_users_plugin_trains_validates_and_resumes(
    method: str, train: Callable[..., Any], tmp_path: Path
) -> None:
    """With data sets from a folder that only ``--user-dir`` names, one worker, and a restart."""
    choices = ["--user-dir", TOY, "--task", "toy", "--arch", "toy_small", "--loss", "toy_mse"]
    options = (
        *choices,
        "--batch-size",
        4,
        "--lr",
        1e-2,
        "--log-format",
        "none",
        "--save-dir",
        tmp_path / "a",
    )
    first = run_python(TRAIN, method, 16, *options, "--num-workers", 1, "--max-update", 2)
    assert first.returncode == 0, first.stderr[-2000:]
    second = run_python(TRAIN, method, 16, *options, "--num-workers", 1, "--max-epoch", 1)
    assert second.returncode == 0, second.stderr[-2000:]
    plain = train("--max-epoch", 1, data=16)
    from moleblend_plugin.trainer.checkpoints.file import read_checkpoint
    from tests.trainer.same import assert_same

    assert_same(plain.state()["model"], read_checkpoint(tmp_path / "a" / "checkpoint_last.pt")["model"])


def child_of_server(trainer: Any, ends: Any) -> None:
    guard_worker(0, trainer, by_server=True)
    os._exit(7)


def test_a_server_that_forks_workers_is_not_taken_for_a_dead_trainer() -> None:
    process = multiprocessing.get_context("forkserver").Process(target=child_of_server, args=(os.getpid(), 0))
    process.start()
    process.join(60)
    assert process.exitcode == 7


class Ends(Numbers):
    def __init__(self, how: Any) -> None:
        super().__init__(6)
        self.how = how

    def __getitem__(self, index: Any) -> Any:
        if index == 5:
            if self.how > 0:
                os._exit(self.how)
            os.kill(os.getpid(), -self.how)
        return index


@pytest.mark.parametrize(
    ("how", "words", "memory"),
    [
        (-signal.SIGKILL, "by SIGKILL: often the memory is full; give fewer --num-workers", True),
        (-signal.SIGSEGV, "by SIGSEGV; --num-workers 0", False),
        (3, "with exit code 3; what it printed above says why; --num-workers 0", False),
    ],
)
def test_memory_is_blamed_only_for_what_memory_does(how: int, words: str, memory: bool) -> None:
    data = Ends(how)
    cut = data.batch_by_size(data.ordered_indices(), 1)
    with pytest.raises(MoleblendError) as lost:
        list(EpochBatches(data, cut, num_workers=1, disable_shuffling=True).iterate())
    assert str(lost.value).startswith(f"a data worker ended {words}")
    assert ("memory" in str(lost.value)) is memory


def test_of_several_the_one_that_was_not_asked_to_end_counts() -> None:
    class Gone:
        def __init__(self, exitcode: Any) -> None:
            self.exitcode = exitcode

    assert how_ended([Gone(-signal.SIGTERM), Gone(1), Gone(None)]).how.startswith("with exit code 1")
    assert how_ended([Gone(-signal.SIGTERM), Gone(-signal.SIGKILL)]).memory
    assert not how_ended([Gone(0)]).memory


def test_a_code_that_another_thread_is_collecting_is_waited_for() -> None:
    """As a pool's thread does: the process has ended, and for a moment nobody has its exit code."""

    class Collected:
        def __init__(self) -> None:
            self.asked = 0

        @property
        def exitcode(self) -> int | None:
            self.asked += 1
            return 9 if self.asked > 4 else None

    assert how_ended([Collected()]).how.startswith("with exit code 9")


def test_what_the_handler_of_another_loader_raises_meanwhile_does_not_hide_the_ending() -> None:
    """torch sets one for good with the first loader of a program: it raises wherever the program is."""

    def handler(number: int, frame: Any) -> None:
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")

    class Ending:
        asked = 0

        @property
        def exitcode(self) -> int | None:
            self.asked += 1
            if self.asked == 2:
                signal.setitimer(signal.ITIMER_REAL, 0.001)  # in the middle of the sleep that follows
            return -signal.SIGKILL if self.asked > 4 else None

    before = signal.signal(signal.SIGALRM, handler)
    try:
        assert how_ended([Ending()]).memory
    finally:
        signal.signal(signal.SIGALRM, before)


class Local(Numbers):
    def __init__(self) -> None:
        super().__init__(4)
        self.function = lambda: 0


def test_a_data_set_that_cannot_be_sent_is_told_in_one_line() -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        with pytest.raises(MoleblendError, match="cannot be sent to a data worker .*spawn.*--num-workers 0"):
            list(EpochBatches(Local(), [[0]], num_workers=1).iterate())
    finally:
        multiprocessing.set_start_method(before, force=True)


BUILD = """
from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.workers import convert_in_order
rows = [RawRow("a.smi", number, "CCO", "smiles") for number in range(600)]
list(convert_in_order(rows, ConversionConfig(None), 2))
"""


def test_a_script_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(BUILD)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, timeout=280
    )
    # Python may add a warning of its own behind the error.
    last = [line for line in done.stderr.splitlines() if "MoleblendError" in line][-1]
    assert "a worker process ended while converting rows from about a.smi:0 on with exit code 1" in last
    assert '`if __name__ == "__main__":`' in last
    assert "memory" not in last
