"""Nodes meet in the launcher's store, the one at ``MASTER_ADDR``, before their processes connect.

Each says which address it announces and tries those of the others; what one of them refuses all of them tell.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch.distributed import Store  # type: ignore[attr-defined]

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.nodes import addresses
from moleblend_plugin.trainer.nodes.processes import Processes

REACH_SECONDS = 10.0
"""Longest wait for another node's answer to a connection."""

CHECK = (
    "check that all nodes run the same command and reach each other on every port, "
    "then start all of them again"
)


@dataclass(frozen=True)
class Place:
    """Which of the run's processes this is.

    Attributes:
        rank: its number, of ``world``.
        local_rank: its number on its node; 0 tells for all of them.
        node: its node's number, of ``nodes``.
    """

    rank: int
    world: int
    local_rank: int
    node: int
    nodes: int

    def __str__(self) -> str:
        return f"rank {self.rank} (node {self.node}, {socket.gethostname()})"

    @property
    def reports(self) -> bool:
        """Whether this process speaks for its node."""
        return self.local_rank == 0

    @classmethod
    def of(cls, processes: Processes) -> Place:
        """The place that the launcher gave to this process."""
        from lightning_fabric.plugins.environments import SLURMEnvironment

        given = processes.environment
        assert given is not None  # a launcher started them
        rank = given.global_rank()
        # torchrun numbers the processes node by node, srun as its --distribution says.
        node = given.node_rank() if isinstance(given, SLURMEnvironment) else rank // processes.local
        return cls(rank, processes.world, given.local_rank(), node, processes.nodes)


class Watchdog:
    """Ends the process with one line where the block takes longer than it may.

    Args:
        seconds: what it may take.
        place: this process.
        end: ends it, given the line.
    """

    def __init__(self, seconds: float, place: Place, end: Callable[[str], None]) -> None:
        self.until = time.monotonic() + seconds
        self.seconds, self.place = seconds, place
        self.doing = "reaching the first node" if place.rank else "waiting for the other processes"
        self._end, self._done = end, threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.until - time.monotonic())

    def words(self) -> str:
        """What is reported at the end."""
        return f"{self.place} could not start within {self.seconds:g} s, while {self.doing}: {CHECK}"

    def _watch(self) -> None:
        # A little longer than what the block itself is given, whose own words know more.
        if not self._done.wait(self.seconds + 2):
            self._end(self.words())

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()


class Refused(MoleblendError):
    """A node does not start, and all of them have been notified."""


class Meeting:
    """What the processes exchange through the launcher's store before they connect.

    Args:
        store: the store, same for all.
        place: this process.
        dog: the watchdog, which knows how much time is left.
    """

    def __init__(self, store: Store, place: Place, dog: Watchdog) -> None:
        self.store, self.place, self.dog = store, place, dog

    def publish(self, key: str, value: object) -> None:
        """Leave a value for the others."""
        self.store.set(key, json.dumps(value))

    def ask(self, key: str) -> Any:  # noqa: ANN401  what JSON holds
        """A value that is there."""
        return json.loads(self.store.get(key))

    def wait_for(self, kind: str, what: str) -> list[str]:
        """Wait until every node has left its ``kind``, and give the keys in order.

        Raises:
            MoleblendError: a node refused to start, or did not come.
        """
        keys = [f"{kind}/{node}" for node in range(self.place.nodes)]
        self.dog.doing = what
        while not self.store.check(keys):
            self.check_refused()
            if self.dog.left() == 0:
                missing = [str(node) for node, key in enumerate(keys) if not self.store.check([key])]
                raise MoleblendError(f"{self.dog.words()} (missing: node {', '.join(missing)})")
            time.sleep(0.05)
        return keys

    def check_refused(self) -> None:
        """Look whether a node has refused to start.

        Raises:
            Refused: it has; with its reason.
        """
        if self.store.check(["refused"]):
            raise Refused(f"the run was not started: {self.ask('refused')}")

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Block whose error the other processes receive, with time to read it."""
        try:
            yield
        except Refused:
            raise
        except MoleblendError as error:
            self.publish("refused", f"{self.place}: {error}")
            time.sleep(1)
            raise Refused(str(error)) from error


def choose_address(meeting: Meeting, port: int, backend: str) -> addresses.Address:
    """The address that this node announces, agreed with the others.

    gloo: the interface of ``GLOO_SOCKET_IFNAME``, else of the way to the first node, else (on the first node
    itself, whose name may be the loopback to it) of the way to another node. Other backends choose
    by themselves; theirs is needed for signs of life only.

    Raises:
        MoleblendError: it would be the loopback.
    """
    place, master = meeting.place, os.environ["MASTER_ADDR"]
    interfaces = addresses.list_interfaces()
    given = os.environ.get(addresses.VARIABLE, "") if backend == "gloo" else ""
    own = (
        addresses.given_address(given, interfaces)
        if given
        else addresses.routed_address(master, port, interfaces)
    )
    meeting.publish(f"routed/{place.node}", own.host if own else "")
    keys = meeting.wait_for("routed", "waiting for the other nodes")
    others = [str(host) for host in map(meeting.ask, keys) if host]
    if own is None and others:
        own = addresses.routed_address(others[0], port, interfaces)
    if own is not None:
        return own
    if backend == "gloo":
        raise addresses.no_address(master, interfaces)
    return addresses.Address("127.0.0.1", "", "all processes are on one machine")


def check_reach(meeting: Meeting, own: addresses.Address) -> None:
    """Connect to what the other nodes announce, before gloo does.

    Raises:
        MoleblendError: one of them cannot be reached, or refused.
    """
    place = meeting.place
    with (
        socket.create_server((own.host, 0), family=family_of(own.host), backlog=place.nodes) as listener,
        meeting.reporting(),  # before the others find the listener closed
    ):
        port = listener.getsockname()[1]
        meeting.publish(
            f"entry/{place.node}", [own.host, port, own.interface, place.rank, socket.gethostname()]
        )
        for node, key in enumerate(meeting.wait_for("entry", "waiting for the other nodes' addresses")):
            host, port, _, rank, name = meeting.ask(key)
            if node == place.node:
                continue
            try:
                socket.create_connection((host, port), min(REACH_SECONDS, meeting.dog.left() or 1)).close()
            except OSError as error:
                meeting.check_refused()
                raise MoleblendError(
                    f"{host}, which rank {rank} (node {node}, {name}) announces, cannot be reached from here "
                    f"({own}): {error.strerror or error}; set {addresses.VARIABLE} on every node to the "
                    "interface that the nodes share, and let a firewall pass all ports between them"
                ) from error
        meeting.publish(f"reached/{place.node}", True)
        meeting.wait_for("reached", "waiting until every node has reached the others")


def family_of(host: str) -> socket.AddressFamily:
    """Kind of an address in numbers."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def meet(meeting: Meeting, port: int, backend: str) -> addresses.Address:
    """Agree on addresses: the first process of each node for all of them.

    Raises:
        MoleblendError: a node cannot start, told by all of them.
    """
    place = meeting.place
    if not place.reports:
        keys = meeting.wait_for("reached", "waiting for the first process of the node")
        host, _, interface, _, _ = meeting.ask(f"entry/{place.node}")
        return addresses.Address(host, interface, f"as rank {keys and place.rank - place.local_rank} chose")
    with meeting.reporting():
        own = choose_address(meeting, port, backend)
    _say(f"node {place.node} of {place.nodes}: announcing {own}")
    check_reach(meeting, own)
    return own


def _say(words: str) -> None:
    os.write(2, f"{words}\n".encode())  # logging begins after the start
