"""Processes meet before they connect, and what one node cannot do every node says."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from argparse import Namespace
from typing import Any

import pytest
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from torch.distributed import HashStore

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trainer.nodes import addresses
from moleblend_plugin.trainer.nodes.addresses import Address
from moleblend_plugin.trainer.nodes.joining import check_world, explain_start
from moleblend_plugin.trainer.nodes.meeting import Meeting, Place, Watchdog, meet
from moleblend_plugin.trainer.nodes.processes import Processes

LOOPBACK = Address("127.0.0.1", "lo", "a test")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "first")
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    monkeypatch.setattr(addresses, "routed_address", lambda *_: LOOPBACK)


def meet_all(
    nodes: int = 2, seconds: float = 20.0, present: int | None = None, per_node: int = 1
) -> dict[int, Address | str]:
    """Run :func:`meet` in a thread per process; what each got, or was told."""
    store, results = HashStore(), {}

    def process(place: Any) -> None:
        dog = Watchdog(seconds, place, lambda words: None)
        try:
            results[place.rank] = meet(Meeting(store, place, dog), 29500, "gloo")
        except MoleblendError as error:
            results[place.rank] = str(error)

    places = [Place(rank, nodes * per_node, rank % per_node, rank // per_node, nodes)
              for rank in range(nodes * per_node)]  # fmt: skip
    threads = [
        threading.Thread(target=process, args=(place,), name=str(place.node)) for place in places[:present]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def on_node(node: int) -> bool:
    return threading.current_thread().name == str(node)


def test_nodes_that_reach_each_other_agree(capfd: pytest.CaptureFixture[str]) -> None:
    results = meet_all(nodes=3, per_node=2)
    assert {rank: found.host for rank, found in results.items()} == dict.fromkeys(range(6), "127.0.0.1")
    told = sorted(capfd.readouterr().err.splitlines())
    assert told == [f"node {node} of 3: announcing 127.0.0.1 on lo (a test)" for node in range(3)]


def test_a_first_node_that_is_loopback_to_itself_asks_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's default: its own name is 127.0.1.1 to the first node, so its way to another node decides."""
    asked = []

    def routed(towards: Any, *_: object) -> Any:
        asked.append(towards)
        return None if on_node(0) and towards == "first" else LOOPBACK

    monkeypatch.setattr(addresses, "routed_address", routed)
    results = meet_all()
    assert results[0] == results[1] == LOOPBACK
    assert sorted(asked) == ["127.0.0.1", "first", "first"]


def test_loopback_on_every_node_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "routed_address", lambda *_: None)
    results = meet_all()
    assert set(results) == {0, 1}
    assert all("GLOO_SOCKET_IFNAME" in words for words in results.values())
    assert all("a loopback address, which other nodes cannot reach" in words for words in results.values())


def test_what_one_node_refuses_is_told_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def routed(*_: object) -> Any:
        if on_node(1):
            raise MoleblendError("this node cannot")
        return LOOPBACK

    monkeypatch.setattr(addresses, "routed_address", routed)
    began = time.monotonic()
    results = meet_all(nodes=2, per_node=2, seconds=60)
    assert results[2] == "this node cannot"
    expected = f"the run was not started: rank 2 (node 1, {socket.gethostname()}): this node cannot"
    assert [results[rank] for rank in (0, 1, 3)] == [expected] * 3
    assert time.monotonic() - began < 50  # and nobody waits for the end of the time


def test_an_address_that_cannot_be_reached_is_told_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.create_connection

    def unreachable(address: Any, *more: object) -> Any:
        if on_node(0):
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        return connect(address, *more)

    monkeypatch.setattr(socket, "create_connection", unreachable)
    results = meet_all()
    assert "127.0.0.1, which rank 1 (node 1, " in results[0]
    assert "cannot be reached from here (127.0.0.1 on lo (a test)): No route to host; set GLOO" in results[0]
    assert results[1].startswith("the run was not started: rank 0 (node 0, ")
    assert "No route to host" in results[1]


def test_a_node_that_does_not_come_is_named() -> None:
    results = meet_all(nodes=3, seconds=0.5, present=2)
    for rank in (0, 1):
        assert "could not start within 0.5 s, while waiting for the other nodes: check that" in results[rank]
        assert results[rank].endswith("(missing: node 2)")


def test_the_watchdog_ends_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, place = [], Place(3, 4, 1, 1, 2)
    with Watchdog(-1.9, place, ended.append) as dog:
        dog.doing = "connecting"
        until = time.monotonic() + 30
        while not ended and time.monotonic() < until:
            time.sleep(0.01)
    assert ended == [dog.words()]
    assert f"rank 3 (node 1, {socket.gethostname()}) could not start within" in ended[0]
    assert "while connecting: check that all nodes run the same command" in ended[0]


def test_the_watchdog_leaves_what_is_done() -> None:
    ended = []
    with Watchdog(-1.5, Place(0, 1, 0, 0, 1), ended.append):
        pass
    time.sleep(0.8)
    assert ended == []


def test_what_torch_says_becomes_one_line() -> None:
    gloo = RuntimeError(
        "[/src/gloo/tcp/pair.cc:144] Gloo connectFullMesh failed with [enforce fail at x:1] "
        "SO_ERROR: Connection refused, remote=[127.0.1.1]:1. This is typically caused by it\nmore"
    )
    words = str(explain_start(gloo, Watchdog(9, Place(1, 2, 0, 1, 2), print)))
    assert "\n" not in words
    assert "(SO_ERROR: Connection refused, remote=[127.0.1.1]:1): check that all nodes" in words


@pytest.mark.parametrize(("world", "fine"), [(2, True), (1, False), (4, False)])
def test_the_trainer_must_count_as_the_launcher(world: int, fine: bool) -> None:
    """Fabric's own choice on CPU is one process per node, each of which believes that it is rank 0."""
    processes = Processes(2, 1, True, TorchElasticEnvironment())
    if fine:
        check_world(Namespace(world_size=world), processes)
        return
    with pytest.raises(MoleblendError, match=f"started 2 processes, but this one trains with {world}"):
        check_world(Namespace(world_size=world), processes)
