"""A task of the cluster, as it runs in a worker: it starts a process for its piece, and watches over it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

from moleblend_plugin.cluster.look import problem_here
from moleblend_plugin.cluster.request import Reply, Request
from moleblend_plugin.stopping import Ending, ended_by

HELD_SECONDS: Final = 60.0
"""How long to wait for a piece that an earlier process, whose worker was lost, still holds."""

_POLL: Final = 0.5
_PATIENCE: Final = 15.0
"""Seconds in which a process that is to end may put away what it has."""

_LINES: Final = 3
"""Of what a lost process printed last, that an error quotes."""

News = Callable[[dict[str, Any]], None]


def run_task(request: Request) -> Reply:
    """Have a piece done, in a worker of the cluster."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        """Whether the client still waits: of what it cancelled the worker forgets the task, or marks it."""
        state = worker.state.tasks.get(key)
        return state is not None and state.state in ("executing", "long-running")

    return do_piece(request, wanted, lambda facts: worker.log_event(request.token, facts))


def do_piece(request: Request, wanted: Callable[[], bool], news: News) -> Reply:
    """Have a piece done in a process of its own.

    Args:
        request: the piece.
        wanted: asked now and then; where it says no, the process is ended.
        news: told how far the work has come.
    """
    if problem := problem_here(request):
        return Reply(request.number, {}, problem)
    until = time.monotonic() + HELD_SECONDS
    while True:
        reply, held = _try(request, wanted, news)
        if not held or time.monotonic() > until or not wanted():
            return reply
        time.sleep(2 * _POLL)


def _try(request: Request, wanted: Callable[[], bool], news: News) -> tuple[Reply, bool]:
    """The reply, and whether another process holds the piece."""
    with _child(request) as (process, errors, lines):
        while True:
            try:
                line = lines.get(timeout=_POLL)
            except queue.Empty:
                if not wanted():
                    return Reply(request.number, {}, "the task was cancelled"), False
                continue
            if line is None:
                return Reply(request.number, {}, _lost(process, errors), again=True), False
            told = json.loads(line)
            if "rows" in told:
                news(told | {"number": request.number})
            elif "error" in told:
                return Reply(request.number, {}, told["error"]), told["held"]
            else:
                return Reply(request.number, told["done"]), False


@contextmanager
def _child(
    request: Request,
) -> Iterator[tuple[subprocess.Popen[str], IO[str], queue.SimpleQueue[str | None]]]:
    """The process, what it prints on stderr, and its lines (``None``: it has ended).

    When the block ends, the process is asked to end, and then made to. It also ends when this one does: its
    standard input then ends.
    """
    # Like a process of multiprocessing, which a daemon, as Dask's workers are, may not start.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", "from moleblend_plugin.cluster.child import main; main()"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        assert process.stdin is not None
        assert process.stdout is not None
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        try:
            with _ending_is_told():
                process.stdin.write(json.dumps(request.plain()) + "\n")
                process.stdin.flush()
            yield process, errors, lines
        finally:
            with _ending_is_told():
                process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _ending_is_told() -> Iterator[None]:
    """A process that has ended takes nothing more: its lines tell of it."""
    try:
        yield
    except BrokenPipeError:
        return


def _read(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _lost(process: subprocess.Popen[str], errors: IO[str]) -> str:
    code = process.wait()
    ending = ended_by(-code) if code < 0 else Ending(f"with exit code {code}")
    errors.seek(0)
    last = " / ".join(line.strip() for line in errors.read().splitlines()[-_LINES:] if line.strip())
    return f"its process ended {ending.how}" + (f" ({last})" if last and not ending.memory else "")
