"""One run in several lives: forks of this process train, are struck at random moments, and go on."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from moleblend_plugin.runs.run_files import EVENT_LOG
from moleblend_plugin.trainer import main as command
from moleblend_plugin.trainer.checkpoints.file import State, read_checkpoint
from moleblend_plugin.trainer.loop import engine, train_loop
from tests.trainer.conftest import CHOICES
from tests.trainer.same import assert_same
from tests.trainer.test_resume import BASE, comparable

WARM = (engine, train_loop)
"""Imported here, once, rather than in every life."""

UPDATES = 20
TIMEOUT = 60.0
"""Seconds after which a life counts as a hang."""

# 40 samples: 5 updates of two batches per epoch. Every update is saved, so many moments fall into saving.
OPTIONS = (
    *(*CHOICES, "--cpu", "--batch-size", 4, "--lr", 1e-2, "--log-interval", 1, "--toy-width", 2000),
    *(*BASE, "--update-freq", 2, "--toy-reorder", "--max-update", UPDATES),
    *("--save-interval-updates", 1, "--keep-interval-updates", 3, "--keep-last-epochs", 1),
)


@dataclass
class Life:
    """A fork that trains.

    Attributes:
        pid: its number, which is its group's too.
        folder: the run's folder.
        began: when.
    """

    pid: int
    folder: Path
    began: float = field(default_factory=time.monotonic)

    def strike(self, number: int, delay: float, *, group: bool = False) -> None:
        """Send a signal ``delay`` seconds after the beginning, unless the end came first."""
        while time.monotonic() - self.began < delay:
            if _ended(self.pid):
                return
            time.sleep(min(0.005, delay))
        (os.killpg if group else os.kill)(self.pid, number)

    def wait(self) -> int:
        """Exit code; negative where a signal ended it.

        Raises:
            AssertionError: it hangs.
        """
        until = time.monotonic() + TIMEOUT
        while not _ended(self.pid):
            if time.monotonic() > until:
                os.killpg(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"hang: {self.errors()}")
            time.sleep(0.005)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def errors(self) -> str:
        """What it wrote on standard error."""
        return self.folder.with_suffix(".err").read_text()


def _ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def start(folder: Path, workers: int = 0, file_limit: int = 0, more: tuple[object, ...] = ()) -> Life:
    """Train in a fork, in a group of its own; ``file_limit`` bytes stand in for a full disk."""
    argv = [str(word) for word in (40, *OPTIONS, "--num-workers", workers, "--save-dir", folder, *more)]
    pid = os.fork()
    if pid:
        return Life(pid, folder)
    code = 99
    try:  # every way out must end the process, not the test run
        os.setsid()
        for number, suffix in ((1, ".out"), (2, ".err")):
            os.dup2(os.open(folder.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if file_limit:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
        code = command.main(argv)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def losses(folder: Path) -> list[tuple[int, float]]:
    """(update, loss) of every logged update, over all lives."""
    if not (folder / EVENT_LOG).exists():
        return []
    events = map(json.loads, (folder / EVENT_LOG).read_text().splitlines())
    return [(event["num_updates"], event["loss"]) for event in events if event["event"] == "train_inner"]


def saved_updates(folder: Path) -> int:
    """Updates in ``checkpoint_last.pt``; every other checkpoint must be readable too.

    Raises:
        MoleblendError: one is not.
    """
    for path in folder.glob("*.pt"):
        read_checkpoint(path)
    last = folder / "checkpoint_last.pt"
    if not last.exists():
        return 0
    return int(read_checkpoint(last)["optimizer_history"][-1]["num_updates"])


def final_state(folder: Path) -> State:
    """What two runs must agree on to the last bit."""
    return comparable(read_checkpoint(folder / "checkpoint_last.pt"))


def assert_same_run(folder: Path, straight: Path) -> None:
    """A run of several lives ended as the uninterrupted one, and every loss that it logged is that one's."""
    assert_same(final_state(folder), final_state(straight))
    expected = dict(losses(straight))
    assert all(expected[update] == loss for update, loss in losses(folder))
    assert {update for update, _ in losses(folder)} == set(range(1, UPDATES + 1))
