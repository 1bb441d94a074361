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
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

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
    child = _a_child()
    try:
        child.ask(request)
        while True:
            try:
                line = child.lines.get(timeout=_POLL)
            except queue.Empty:
                if not wanted():
                    return Reply(request.number, {}, "the task was cancelled"), False
                continue
            if line is None:
                return Reply(request.number, {}, child.how_lost(), again=True), False
            told = json.loads(line)
            if "rows" in told:
                news(told | {"number": request.number})
            elif "error" in told:
                return Reply(request.number, {}, told["error"]), told["held"]
            else:
                _idle.append(child)
                return Reply(request.number, told["done"]), False
    finally:
        if child not in _idle:
            child.end()


class _Child:
    """A process for pieces, one after the other. It ends when this one does: its standard input then ends."""

    def __init__(self) -> None:
        # Like a process of multiprocessing, which a daemon, as Dask's workers are, may not start.
        places = [os.environ.get("PYTHONPATH", ""), *sys.path]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in places if place)}
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from moleblend_plugin.cluster.child import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def is_there(self) -> bool:
        """Whether it can still be asked."""
        return self._process.poll() is None

    def ask(self, request: Request) -> None:
        """Have it do a piece; its lines report on it, and ``None`` says that it has ended."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request.plain()) + "\n")
            self._process.stdin.flush()

    def end(self) -> None:
        """Ask it to end, and then make it."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def how_lost(self) -> str:
        """How it ended, in words, with what it printed last."""
        code = self._process.wait()
        ending = ended_by(-code) if code < 0 else Ending(f"with exit code {code}")
        self._errors.seek(0)
        last = [line.strip() for line in self._errors.read().splitlines()[-_LINES:] if line.strip()]
        quoted = f" ({' / '.join(last)})" if last and not ending.memory else ""
        return f"its process ended {ending.how}{quoted}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self.lines.put(line)
        self.lines.put(None)


_idle: list[_Child] = []
"""Processes that have done a piece well and wait for the next one: beginning takes seconds."""


def _a_child() -> _Child:
    """One that waits, else a new one."""
    while _idle:
        child = _idle.pop()
        if child.is_there:
            return child
        child.end()
    return _Child()
