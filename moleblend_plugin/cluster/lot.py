"""All pieces of a run: those that are there are taken over, the others go to the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from moleblend_plugin.cluster.connect import connected
from moleblend_plugin.cluster.look import signed
from moleblend_plugin.cluster.news import Report, Rows
from moleblend_plugin.cluster.request import Request
from moleblend_plugin.cluster.run import Say, check_workers, work_through
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.locks import holding


class Lot(NamedTuple):
    """Pieces of one run.

    Attributes:
        requests: all of them.
        there: the counts ("rows", "rejected") of a piece that is finished, ``None`` of another.
        out: what is made of them, for messages.
    """

    requests: Sequence[Request]
    there: Callable[[Request], Mapping[str, Any] | None]
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
        if (counts := lot.there(request)) is None:
            missing.append(request)
        else:
            rows.finish(request.number, counts)
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
            say(f"finished pieces are kept in {folder}; run the same command again to go on")
            raise
