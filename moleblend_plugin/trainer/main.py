"""``moleblend-train``: train the plugin's tasks where Uni-Core is not installed."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from moleblend_plugin.entry import FAILED, begin, one_line
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs import detect
from moleblend_plugin.trainer.trouble.signals import STOP, Interrupted

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch.multiprocessing.spawn import ProcessExitedException

    from moleblend_plugin.trainer.loop.one_process import OneProcess

# Fabric tells on standard error how processes find each other, before any of our code runs in them.
for _talkative in ("distributed", "rank_zero"):
    logging.getLogger(f"lightning_fabric.utilities.{_talkative}").setLevel(logging.WARNING)

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a training command.

    Args:
        argv: its arguments, those of the process by default.

    Returns:
        0 after training, 2 for something the user can fix (told in one line), 143 or 130 after SIGTERM
        or SIGINT.
    """
    begin()
    from torch.multiprocessing.spawn import ProcessExitedException

    from moleblend_plugin.trainer.logging.logs import root_logger_kept

    try:
        if detect.requested_host() == "unicore":
            raise MoleblendError(
                "MOLEBLEND_HOST=unicore contradicts moleblend-train: unset it, or run unicore-train"
            )
        detect.take_charge("embedded")
        with STOP.listening(), root_logger_kept():
            _train(list(sys.argv[1:] if argv is None else argv))
    except Interrupted as interruption:
        sys.stderr.write(f"{interruption}\n")
        return interruption.exit_code
    except MoleblendError as error:
        return _fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: run the same command again to resume from the last checkpoint\n")
        return INTERRUPTED
    except ProcessExitedException as error:
        return _ended(error)
    except SystemExit as leaving:  # --help, or a process started by another
        return int(leaving.code or 0)
    return 0


def _fail(error: MoleblendError) -> int:
    sys.stderr.write(f"error: {one_line(error)}\n")
    return FAILED


def _ended(error: ProcessExitedException) -> int:
    """Exit code after a process of several has ended; it has printed why, unless a signal ended it."""
    if error.signal_name is None:
        return error.exit_code or 1
    from moleblend_plugin.trainer.nodes.lost import RESUME_HINT

    sys.stderr.write(
        f"error: process {error.error_index} was ended by {error.signal_name} "
        f"(SIGKILL: often the memory is full); {RESUME_HINT}\n"
    )
    return 128 - error.exit_code


def _train(argv: list[str]) -> None:
    from moleblend_plugin.trainer.command.options import parse_options
    from moleblend_plugin.trainer.loop.engine import backend_of, build_fabric
    from moleblend_plugin.trainer.nodes.joining import check_world, joined
    from moleblend_plugin.trainer.nodes.processes import find_processes

    args = parse_options(argv)
    processes = find_processes(args)
    fabric = build_fabric(args, processes)
    with (
        STOP.listening(forward=processes.world > 1 and not processes.started),
        joined(processes, args, backend_of(args)),
    ):
        check_world(fabric, processes)
        fabric.launch(train_process, args, argv)
    if processes.started and processes.world > 1:
        # Torch's threads, still running while a process is taken apart, abort it now and then (exit code -6).
        atexit._run_exitfuncs()
        _leave(0)


def train_process(fabric: Fabric | OneProcess, args: Namespace, argv: Sequence[str]) -> None:
    """Train in one process; with several, each of them runs this.

    Args:
        fabric: launched.
        args: the run's options.
        argv: the command's arguments, for ``run.json``.

    Raises:
        MoleblendError: something the user gave does not work (with several processes it is told here, and
            the process ends).
    """
    from moleblend_plugin.trainer.nodes.lost import LostProcess, explain_loss
    from moleblend_plugin.trainer.trouble.out_of_memory import explain_memory

    try:
        try:
            with STOP.listening():
                _train_here(fabric, args, argv)
        except RuntimeError as error:
            if (explained := explain_memory(error) or explain_loss(error)) is None:
                raise
            raise explained from error
    except Interrupted as interruption:
        if fabric.world_size == 1:
            raise
        if fabric.global_rank == 0:
            sys.stderr.write(f"{interruption}\n")
        _leave(interruption.exit_code)
    except MoleblendError as error:
        if fabric.world_size == 1:
            raise
        # The first process tells and leaves at once, which ends the others; where only another one failed,
        # that one tells a moment later, which must be longer than a busy machine keeps the first waiting.
        # A lost process is told by every node: none hears of another's end.
        first = fabric.local_rank if isinstance(error, LostProcess) else fabric.global_rank
        if first > 0:
            time.sleep(15)
        _leave(_fail(error))


def _leave(code: int) -> NoReturn:
    """End this process at once: orderly ways out wait for processes that will not come."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _train_here(fabric: Fabric | OneProcess, args: Namespace, argv: Sequence[str]) -> None:
    from moleblend_plugin.runs.run_lock import holding_run
    from moleblend_plugin.runs.run_record import stores_of, write_record
    from moleblend_plugin.trainer.checkpoints.save import save_checkpoint
    from moleblend_plugin.trainer.command.plugins import import_plugins
    from moleblend_plugin.trainer.logging.logs import start_logging
    from moleblend_plugin.trainer.loop.engine import Engine
    from moleblend_plugin.trainer.loop.session import build_session
    from moleblend_plugin.trainer.loop.train_loop import train
    from moleblend_plugin.trainer.trouble.bad_updates import TooManyBadUpdates

    detect.take_charge("embedded")
    import_plugins(args.user_dir)
    engine = Engine(fabric)
    start_logging(engine.is_first)
    with holding_run(args, engine.is_first) as lock:
        session = build_session(args, engine)
        session.lock = lock
        completed = False
        try:
            if engine.is_first and not args.no_save:
                write_record(args, argv, "embedded", stores_of(session.task))
            session.report.start()
            train(session)
            completed = True
        except TooManyBadUpdates:
            save_checkpoint(session)  # in all processes: they count alike
            raise
        finally:
            session.report.close(completed)


if __name__ == "__main__":
    sys.exit(main())
