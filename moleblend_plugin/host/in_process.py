"""Training inside somebody else's process: a notebook, a cross-validation, a thread of a server.

The embedded trainer with the arguments of ``moleblend-train``, less what belongs to a command line: no signal
handlers (Ctrl-C is the caller's KeyboardInterrupt), no exit codes, no ``run.json``; one process, one device.
Global generators and logging are afterwards as they were.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs import detect

_LOGGERS = ("moleblend-train", "moleblend_plugin", "train_inner", "train", "valid")
"""Loggers that the trainer writes to."""

_ONE_AT_A_TIME = threading.RLock()
"""The trainer's meters and generators belong to the process: threads take turns."""


def train_in_process(
    argv: Sequence[str],
    verbose: bool = False,
    device: str = "auto",
    saved: Callable[[], None] | None = None,
) -> None:
    """Train as ``moleblend-train`` with these arguments would.

    Args:
        argv: arguments of the command.
        verbose: whether the trainer's log goes to standard output.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        saved: called whenever checkpoints were written.

    Raises:
        MoleblendError: something the caller gave does not work, or Uni-Core runs this process.
    """
    if detect.chosen_host() != "embedded":
        raise MoleblendError(
            "Uni-Core is loaded in this process, whose trainer has no door for estimators: "
            "set MOLEBLEND_HOST=embedded before the first import"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise MoleblendError("estimators train in one process: run the script without torchrun")
    with _ONE_AT_A_TIME, _global_state_kept(), _quiet(not verbose):
        _train(list(argv), verbose, device, saved)


def _train(argv: list[str], verbose: bool, device: str, saved: Callable[[], None] | None) -> None:
    from moleblend_plugin.runs.devices import choose_device
    from moleblend_plugin.runs.run_lock import holding_run
    from moleblend_plugin.trainer import main as _quiet_fabric  # noqa: F401  its import silences Fabric
    from moleblend_plugin.trainer.command.options import parse_options
    from moleblend_plugin.trainer.logging import metrics
    from moleblend_plugin.trainer.loop.engine import Engine, build_fabric
    from moleblend_plugin.trainer.loop.session import build_session
    from moleblend_plugin.trainer.loop.train_loop import train
    from moleblend_plugin.trainer.nodes.processes import one_process
    from moleblend_plugin.trainer.trouble.out_of_memory import explain_memory
    from moleblend_plugin.trainer.trouble.signals import STOP

    quiet = [] if verbose else ["--log-format", "none"]
    if "--cpu" not in argv and device != "auto":
        chosen = choose_device(device)
        quiet += ["--cpu"] if chosen.type == "cpu" else []
        gpu = chosen.index or 0
    else:
        gpu = 0
    args = parse_options([*argv, *quiet, "--distributed-world-size", "1"])
    fabric = build_fabric(args, one_process(), gpu)  # scripts of many tasks fit a model in each
    fabric.launch()
    STOP.number = 0  # what an earlier run of this process was told is not for this one
    try:
        with holding_run(args, is_first=True) as lock:
            session = build_session(args, Engine(fabric))
            session.lock, session.saved = lock, saved
            completed = False
            try:
                session.report.start()
                train(session)
                completed = True
            finally:
                session.report.close(completed)
                metrics.reset()
    except RuntimeError as error:
        if (explained := explain_memory(error)) is None:
            raise
        raise explained from error


@contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """Only warnings of ours, whatever listens; else all of ours on standard output.

    The root logger is the caller's: the trainer's own loggers get the handler, and are given back.
    """
    from moleblend_plugin.trainer.logging.logs import StandardOutput

    ours = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.propagate) for logger in ours]
    handler = StandardOutput()
    try:
        for logger in ours:
            logger.setLevel(logging.WARNING if wanted else logging.INFO)
            if not wanted:
                logger.addHandler(handler)
                logger.propagate = False  # else a handler of the caller's would show every line again
        yield
    finally:
        for logger, (level, propagate) in zip(ours, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


@contextmanager
def _global_state_kept() -> Iterator[None]:
    """Give the global generators back as they were."""
    import numpy as np
    import torch

    from moleblend_plugin.runs.devices import generators_kept

    threads = torch.get_num_threads()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the trainer seeds it
    try:
        with generators_kept(all_gpus=True):
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
