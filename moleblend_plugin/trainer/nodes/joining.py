"""The start of a run that a launcher began: its processes find each other, or every node says why not.

gloo connects each process with each other. Where one cannot be reached, it alone gets an error, and the
others wait in silence for five times the timeout. So nodes meet first (``meeting.py``), and a watchdog ends
whatever still hangs.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import distributed
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.nodes import addresses, heartbeat
from moleblend_plugin.trainer.nodes.lost import RESUME_HINT, torch_reason
from moleblend_plugin.trainer.nodes.meeting import (
    CHECK,
    REACH_SECONDS,
    Meeting,
    Place,
    Watchdog,
    family_of,
    meet,
)
from moleblend_plugin.trainer.nodes.processes import Processes

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from moleblend_plugin.trainer.loop.one_process import OneProcess

START_SECONDS = 300.0
"""Longest wait for the other processes; ``--distributed-timeout-minutes`` shortens it."""


def start_heartbeat(meeting: Meeting, own: addresses.Address, limit: float) -> heartbeat.Heartbeat:
    """Connect with rank 0 and begin to beat."""
    place, store = meeting.place, meeting.store
    listener = server = None
    if place.rank == 0:
        listener = socket.create_server((own.host, 0), family=family_of(own.host), backlog=place.world)
        meeting.publish("heart", [own.host, listener.getsockname()[1], secrets.token_hex(16)])
    store.set(f"name/{place.rank}", str(place))
    store.wait(
        ["heart", *(f"name/{rank}" for rank in range(place.world))],
        timedelta(seconds=meeting.dog.left() or 1),
    )
    host, port, token = meeting.ask("heart")
    if listener is None:
        server = socket.create_connection((host, port), REACH_SECONDS)
        server.sendall(f"hello {token} {place.rank}\n".encode())
    names = {rank: store.get(f"name/{rank}").decode() for rank in range(place.world)}

    def end(words: str) -> None:
        heartbeat.leave(f"{words}; {RESUME_HINT}", place.reports)

    heart = heartbeat.Heartbeat(limit, names, token, end, listener, server)
    heart.start()
    return heart


def explain_start(error: Exception, dog: Watchdog) -> MoleblendError:
    """One line for what torch says where processes cannot connect."""
    return MoleblendError(
        f"{dog.place} could not start, while {dog.doing} ({torch_reason(str(error))}): {CHECK}"
    )


def _join(processes: Processes, place: Place, args: Namespace, backend: str) -> heartbeat.Heartbeat | None:
    collective = timedelta(minutes=args.distributed_timeout_minutes)
    limit = min(START_SECONDS, collective.total_seconds())
    given, heart = processes.environment, None
    assert given is not None  # a launcher started them
    os.environ |= {"MASTER_ADDR": given.main_address, "MASTER_PORT": str(given.main_port)}
    if place.nodes > 1:
        addresses.route_source(given.main_address, given.main_port)  # at once, where torch would try for long
    with Watchdog(limit, place, lambda words: heartbeat.leave(words, place.reports)) as dog:
        try:
            url = f"env://?rank={place.rank}&world_size={place.world}"
            store = next(iter(rendezvous(url, timeout=timedelta(seconds=limit))))[0]
            attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
            meeting = Meeting(PrefixStore(f"start/{attempt}", store), place, dog)
            if place.nodes > 1:
                own = meet(meeting, given.main_port, backend)
                if backend == "gloo" and own.interface:
                    os.environ[addresses.VARIABLE] = own.interface
                if args.heartbeat_timeout > 0:
                    heart = start_heartbeat(
                        meeting, own, min(args.heartbeat_timeout, collective.total_seconds())
                    )
            dog.doing = f"connecting with {place.world - 1} other process(es) by {backend}"
            device = torch.device("cuda", place.local_rank) if backend != "gloo" else None
            distributed.init_process_group(
                backend,
                store=store,
                rank=place.rank,
                world_size=place.world,
                timeout=collective,
                device_id=device,
            )
        except (RuntimeError, OSError) as error:
            raise explain_start(error, dog) from error
    return heart


@contextmanager
def joined(processes: Processes, args: Namespace, backend: str) -> Iterator[None]:
    """Block in which the processes that a launcher started are connected; nothing for processes of our own.

    Args:
        processes: those of the run.
        args: the run's options.
        backend: "gloo" or "nccl".

    Raises:
        MoleblendError: they cannot connect; the first process of each node says so at once.
    """
    if not processes.started or processes.world == 1:
        yield
        return
    place = Place.of(processes)
    try:
        heart = _join(processes, place, args, backend)
    except MoleblendError:
        if not place.reports:
            time.sleep(heartbeat.REPORT_SECONDS)
        raise
    heartbeat.set_running(heart)
    try:
        yield
        if backend == "nccl":
            distributed.destroy_process_group()  # it asks for that
    finally:
        if heart is not None:
            heart.stop()
            heartbeat.set_running(None)


def check_world(fabric: Fabric | OneProcess, processes: Processes) -> None:
    """Hold what the trainer counts against what the launcher started.

    Where they differ, processes would train alone, each as rank 0, and write over each other's checkpoints.

    Raises:
        MoleblendError: they differ.
    """
    counts = {fabric.world_size}
    if distributed.is_available() and distributed.is_initialized():
        counts |= {distributed.get_world_size()}
    if processes.started and counts != {processes.world}:
        raise MoleblendError(
            f"the launcher started {processes.world} processes, but this one trains with {min(counts)}: "
            "start the same command, with the same number of processes per node, on every node"
        )
