"""The cluster of ``--cluster``: processes on this machine, or a scheduler that runs somewhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moleblend_plugin.entry import usable_cores
from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

_CONNECT_SECONDS: Final = 10
_STARTS: Final = 3
"""How often a cluster on this machine is started."""
FORMS: Final = (
    "local:N (N processes on this machine), the address of a scheduler (tcp://host:8786), or its file"
)

_CONFIG: Final[dict[str, Any]] = {
    # No task waits at a worker, whose loss would then be counted against it.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.logging.distributed": "critical",
}


_LOUD: Final = ("distributed", "tornado", "bokeh")
"""Packages whose log lines are left out."""


@contextmanager
def connected(given: str) -> Iterator[Client]:
    """A client of the cluster that ``--cluster`` names; a local one is started, and ends with the block.

    Args:
        given: one of :data:`FORMS`.

    Raises:
        MoleblendError: the package distributed is missing, ``given`` has another form, or nobody answers.
    """
    workers = _local_workers(given)
    if workers is None and "://" not in given and not Path(given).is_file():
        raise MoleblendError(f"--cluster {given}: give {FORMS}")
    _import()
    import dask
    from distributed import Client

    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIG))
        stack.enter_context(_quiet())
        address: Any = given
        if workers is not None:
            address = stack.enter_context(_started(workers))
        named = {"scheduler_file": given} if workers is None and "://" not in given else {"address": address}
        try:
            client = Client(**named, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise MoleblendError(
                f"--cluster {given}: no scheduler answers there; start one (dask scheduler), or give {FORMS}"
            ) from error
        stack.callback(_close, client)
        yield client


def _started(workers: int) -> LocalCluster:
    """A cluster on this machine; Dask gives up when one of its processes is killed while it starts."""
    from distributed import LocalCluster

    failed: RuntimeError | None = None
    for _ in range(_STARTS):
        try:
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,  # the work has processes of its own
                silence_logs=logging.CRITICAL,
                dashboard_address=":0" if _is_taken(8787) else ":8787",
            )
        except RuntimeError as error:
            failed = error
    raise MoleblendError(
        f"--cluster local:{workers}: its processes ended while they started, {_STARTS} times; "
        "give fewer (local:1) if memory is scarce; to resume, run the same command again"
    ) from failed


def _local_workers(given: str) -> int | None:
    """N of ``local:N``; ``None`` for another form."""
    name, _, number = given.partition(":")
    if name != "local":
        return None
    if not number:
        return usable_cores()
    if not number.isdecimal() or int(number) < 1:
        raise MoleblendError(f"--cluster {given}: give {FORMS}")
    return int(number)


def _import() -> None:
    try:
        import distributed
    except ImportError as error:
        raise MoleblendError(
            "--cluster needs the package distributed: pip install 'moleblend_plugin[cluster]'"
        ) from error
    assert distributed


def _is_taken(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Dask's own lines: what matters of them is said in ours."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LOUD]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _close(client: Client) -> None:
    client.close(timeout=2)
