"""Training inside somebody else's process: a notebook, a cross-validation, a thread of a server.

The embedded host with the arguments of ``moleblend-train``, less what belongs to a command line: no signal
handlers (Ctrl-C is the caller's KeyboardInterrupt), no exit codes, no ``run.json``; one process, one device.
Global generators and logging are afterwards as they were.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import detect

_ONE_AT_A_TIME = threading.RLock()
"""The trainer's meters and generators belong to the process: threads take turns."""


def train_in_process(argv: Sequence[str], verbose: bool = False) -> None:
    """Train as ``moleblend-train`` with these arguments would.

    Args:
        argv: arguments of the command.
        verbose: whether the trainer's log goes to standard output.

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
        _train(list(argv), verbose)


def _train(argv: list[str], verbose: bool) -> None:
    from moleblend_plugin.host.embedded import main as _quiet_fabric  # noqa: F401  its import silences Fabric
    from moleblend_plugin.host.embedded import metrics
    from moleblend_plugin.host.embedded.engine import Engine, build_fabric
    from moleblend_plugin.host.embedded.logs import start_logging
    from moleblend_plugin.host.embedded.memory import explain_memory
    from moleblend_plugin.host.embedded.options import parse_options
    from moleblend_plugin.host.embedded.processes import one_process
    from moleblend_plugin.host.embedded.session import build_session
    from moleblend_plugin.host.embedded.signals import STOP
    from moleblend_plugin.host.embedded.train_loop import train

    quiet = [] if verbose else ["--log-format", "none"]
    args = parse_options([*argv, *quiet, "--distributed-world-size", "1"])
    fabric = build_fabric(args, one_process())  # scripts of many tasks fit a model in each
    fabric.launch()
    if verbose:
        start_logging(is_first=True)
    STOP.number = 0  # what an earlier run of this process was told is not for this one
    try:
        session = build_session(args, Engine(fabric))
        try:
            train(session)
        finally:
            session.report.close()
            metrics.reset()
    except RuntimeError as error:
        if (told := explain_memory(error)) is None:
            raise
        raise told from error


@contextmanager
def _quiet(wanted: bool) -> Iterator[None]:
    """Only warnings of ours, whatever listens: an earlier run in this process may have left a handler."""
    ours = [logging.getLogger(name) for name in ("moleblend-train", "moleblend_plugin")]
    levels = [logger.level for logger in ours]
    try:
        for logger in ours if wanted else ():
            logger.setLevel(logging.WARNING)
        yield
    finally:
        for logger, level in zip(ours, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _global_state_kept() -> Iterator[None]:
    """Give the global generators and the root logger back as they were."""
    import numpy as np
    import torch

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the trainer seeds it
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            root.removeHandler(handler)
        root.setLevel(level)
