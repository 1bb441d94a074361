"""All pieces of a run: those that are there are taken over, the others go to the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from moleblend_plugin.cluster.connect import connected
from moleblend_plugin.cluster.look import signed
from moleblend_plugin.cluster.news import Report, Rows
from moleblend_plugin.cluster.request import Request
from moleblend_plugin.cluster.run import Say, check_workers, work_through
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.locks import holding

_SEEN_SECONDS: Final = 120.0


class Lot(NamedTuple):
    """Pieces of one run.

    Attributes:
        requests: all of them.
        path: the file of a piece.
        counts: "rows" and "rejected" of a piece whose file is there.
        out: what is made of them, for messages.
    """

    requests: Sequence[Request]
    path: Callable[[Request], Path]
    counts: Callable[[Path], Mapping[str, Any]]
    out: Path


def finish_lot(cluster: str, lot: Lot, report: Report, say: Say) -> None:
    """Have all pieces there.

    Args:
        cluster: what works (``cluster.connect.FORMS``).
        lot: the pieces.
        report: told how far they have come.
        say: told a line for people.

    Raises:
        MoleblendError: no cluster answers or fits, or a piece is refused or lost; others stay.
    """
    rows, missing = Rows(report), []
    for request in lot.requests:
        path = lot.path(request)
        if path.exists():
            rows.finish(request.number, lot.counts(path))
        else:
            missing.append(request)
    if there := len(lot.requests) - len(missing):
        say(f"resuming: {there:,} of {len(lot.requests):,} pieces are there")
    if not missing:
        return
    folder = Path(lot.requests[0].folder)
    what = f"another command works on a cluster for {lot.out}"
    with (
        signed(folder, missing[0].token),
        holding(folder / ".lock", what, "wait for it or name another --out"),
        connected(cluster) as client,
    ):
        say(f"cluster: {client.scheduler.address}, dashboard {client.dashboard_link}")
        check_workers(client, missing[0], say)
        try:
            work_through(client, missing, rows)
        except MoleblendError:
            raise
        except BaseException:
            say(f"finished pieces are kept in {folder}; run the same command again to resume")
            raise
    for request in missing:
        _wait_seen(lot.path(request))


def _wait_seen(path: Path) -> None:
    """Wait until a file of another machine shows: network disks remember that it was not there."""
    until = time.monotonic() + _SEEN_SECONDS
    while not path.exists():
        if time.monotonic() > until:
            raise MoleblendError(f"{path} is written, but does not show here: run the same command again")
        time.sleep(0.5)
        list(path.parent.iterdir())
