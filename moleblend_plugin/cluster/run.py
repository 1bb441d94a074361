"""Requests through a cluster: as many at once as it has places, each again where it was lost."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from moleblend_plugin.cluster.look import problem_here
from moleblend_plugin.cluster.news import Rows
from moleblend_plugin.cluster.request import Reply, Request
from moleblend_plugin.cluster.task import run_task
from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from distributed import Client, Future

TRIES: Final = 4
"""How often a piece is begun that was lost with its process or its worker, which others than it may cause."""

_WAIT: Final = 0.5
_CANCEL_SECONDS: Final = 20.0

Say = Callable[[str], None]


def check_workers(client: Client, request: Request, say: Say) -> None:
    """Refuse a cluster whose machines cannot do the work; one without workers is waited for.

    Raises:
        MoleblendError: names the machine and the remedy.
    """
    with _scheduler_must_live(client):
        waiting = False
        while not client.nthreads():
            if not waiting:
                say(f"waiting for a worker of {client.scheduler.address}")
            waiting = True
            time.sleep(_WAIT)
        replies = client.run(problem_here, request, on_error="return")
    for worker, reply in replies.items():
        if isinstance(reply, BaseException) and (package := missing_package(reply)):
            raise MoleblendError(f"worker {worker} has no {package}: install the same packages there")
        if isinstance(reply, BaseException):
            raise MoleblendError(f"worker {worker} cannot begin: {type(reply).__name__}: {reply}")
        if reply:
            raise MoleblendError(reply)


def missing_package(error: BaseException) -> str:
    """The package that a worker lacks by this error, which Dask may have put into another; "" for others."""
    found = re.search(r"No module named '([\w.]+)'", str(error))
    return found[1] if found else ""


def work_through(client: Client, requests: Sequence[Request], rows: Rows) -> None:
    """Have all requests done.

    No more are given out than the cluster has places: a task that waits at a worker would be blamed for the
    loss of that worker. When the call is interrupted, tasks that run are ended.

    Raises:
        MoleblendError: a piece is refused or lost time and again, or the scheduler is gone; others, that are
            finished by then, stay.
    """
    from distributed import wait

    rest, running, tries = deque(requests), dict[Any, Request](), Counter[int]()
    with (
        _scheduler_must_live(client),
        client.as_current(),
        _news(client, requests[0].token, rows),
        _cancelling(client, running),
    ):
        while rest or running:
            rows.report()
            places = sum(client.nthreads().values())
            while rest and len(running) < places:
                request = rest.popleft()
                tries[request.number] += 1
                name = f"moleblend-{request.kind}-{request.number}-of-{request.of}"
                key = f"{name}-{request.token}-{tries[request.number]}"
                running[client.submit(run_task, request, key=key, pure=False)] = request
            if not running:  # all workers are gone: others may come
                time.sleep(_WAIT)
                continue
            with suppress(TimeoutError):
                wait(list(running), timeout=_WAIT, return_when="FIRST_COMPLETED")
            for future in [future for future in running if future.done()]:
                request = running.pop(future)
                reply = _reply(client, future, request)
                if reply.again and tries[request.number] < TRIES:
                    rest.appendleft(request)
                elif reply.error:
                    raise MoleblendError(_told(request, reply, tries[request.number]))
                else:
                    rows.finish(reply.number, reply.facts)
                    rows.report()


def _told(request: Request, reply: Reply, tries: int) -> str:
    if not reply.again:
        return reply.error
    return (
        f"piece {request.number}/{request.of} was lost {tries} times: {reply.error}; what is finished is "
        "kept: repeat the command, with more memory for its processes or with more --pieces"
    )


def _reply(client: Client, future: Future, request: Request) -> Reply:
    """What became of a task that has ended."""
    if future.status == "finished":
        reply: Reply = future.result()
        return reply
    if future.status == "error":
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return Reply(request.number, {}, "its worker was killed", again=True)
        if package := missing_package(error):
            return Reply(request.number, {}, f"a worker has no {package}: install the same packages there")
        return Reply(
            request.number, {}, f"a worker cannot do it: {type(error).__name__}: {error}", again=True
        )
    raise _gone(client)


def _gone(client: Client) -> MoleblendError:
    where = getattr(client.scheduler, "address", None) or "the cluster"
    return MoleblendError(
        f"the scheduler ({where}) is gone: start it again and repeat the command, which resumes: finished "
        "pieces are kept"
    )


@contextmanager
def _scheduler_must_live(client: Client) -> Iterator[None]:
    """Errors of the connection in one line."""
    from distributed.client import CancelledError

    try:
        yield
    except MoleblendError:
        raise
    except (OSError, TimeoutError, CancelledError) as error:
        raise _gone(client) from error


@contextmanager
def _news(client: Client, topic: str, rows: Rows) -> Iterator[None]:
    """Have ``rows`` take the reports of tasks, inside the block."""
    client.subscribe_topic(topic, lambda event: rows.take(event[1]))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            client.unsubscribe_topic(topic)


@contextmanager
def _cancelling(client: Client, running: dict[Any, Request]) -> Iterator[None]:
    """End what still runs when the block ends, and wait for a moment until it has let go of its files."""
    try:
        yield
    finally:
        if running:
            with suppress(OSError, TimeoutError):
                client.cancel(list(running), force=True)
                _wait_idle(client)


def _wait_idle(client: Client) -> None:
    until = time.monotonic() + _CANCEL_SECONDS
    while time.monotonic() < until and any(client.processing().values()):
        time.sleep(_WAIT)
