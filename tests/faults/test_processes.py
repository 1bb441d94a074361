"""Several processes stop together, whichever of them a signal reaches."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.lives import OPTIONS, losses, saved_updates
from tests.trainer.test_processes import COMMAND


@pytest.mark.long
@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_signal_stops_two_processes_after_the_same_update(
    tmp_path: Path, number: signal.Signals, group: bool
) -> None:
    """To the process that started the others (it passes the signal on), and to all of them at once."""
    folder = tmp_path / "run"
    more = ("--num-workers", 1, "--max-update", 100_000, "--distributed-world-size", 2, "--save-dir", folder)
    argv = [str(word) for word in (*COMMAND, 400, *OPTIONS, *more, "--save-interval-updates", 0)]
    environment = {key: value for key, value in os.environ.items() if key != "MOLEBLEND_HOST"}
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(
            argv,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 240  # a busy machine starts two processes slowly
        while len(losses(folder)) < 3:
            assert process.poll() is None, (tmp_path / "errors").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        (os.killpg if group else os.kill)(process.pid, number)
        assert process.wait(60) == 128 + number
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    told = (tmp_path / "errors").read_text()
    assert told.count(f"{number.name}: stopped after update") == 1
    assert "error" not in told
    assert saved_updates(folder) == losses(folder)[-1][0] >= 3
