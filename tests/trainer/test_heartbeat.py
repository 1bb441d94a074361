"""A process that gives no sign of life is named by the others; one that ends in order, or is busy, is not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moleblend_plugin.trainer.nodes import heartbeat
from moleblend_plugin.trainer.nodes.heartbeat import Heartbeat

NAMES = {0: "rank 0 (node 0, a)", 1: "rank 1 (node 1, b)", 2: "rank 2 (node 2, c)"}
LIMIT = 1.0


class Star:
    """Rank 0 and clients; what each was ended with stands in ``ended``."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ended = {}
        self.hearts = {0: self.heart(0, listener=self.listener)}

    def heart(self, rank: Any, **ends: Any) -> Any:
        return Heartbeat(LIMIT, NAMES, "token", lambda words: self.ended.setdefault(rank, words), **ends)

    def connect(self, rank: Any, token: str = "token") -> Any:
        link = socket.create_connection(self.listener.getsockname())
        link.sendall(f"hello {token} {rank}\n".encode())
        return link

    def add(self, rank: Any) -> None:
        self.hearts[rank] = self.heart(rank, server=self.connect(rank))

    def start(self) -> None:
        for heart in self.hearts.values():
            heart.start()


@pytest.fixture
def star() -> Iterator[Star]:
    made = Star()
    yield made
    for heart in made.hearts.values():
        if heart.is_alive():
            heart.stop()
    made.listener.close()


def wait_for(condition: Callable[..., Any], seconds: int = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_processes_that_live_are_left_alone(star: Star) -> None:
    star.add(1)
    star.add(2)
    star.start()
    time.sleep(2 * LIMIT)
    assert star.ended == {}
    assert [heart.culprit for heart in star.hearts.values()] == [None] * 3


def test_a_silent_process_is_named_everywhere(star: Star) -> None:
    star.add(1)
    silent = star.connect(2)  # it says hello, and then never a word again; its connection stays open
    star.start()
    wait_for(lambda: len(star.ended) == 2)
    words = "rank 2 (node 2, c) has given no sign of life for 1 s (--heartbeat-timeout)"
    assert star.ended[0].startswith(words)
    assert star.ended[1] == star.ended[0]
    silent.close()


def test_a_silent_first_process_is_named(star: Star) -> None:
    star.hearts = {1: star.heart(1, server=star.connect(1))}
    star.start()
    wait_for(lambda: 1 in star.ended)
    assert star.ended[1].startswith("rank 0 (node 0, a) has given no sign of life")


def test_an_ended_process_is_known_to_whoever_asks(star: Star) -> None:
    """Its closed connection ends nobody: what waits for it fails by itself, and asks who it was."""
    star.add(1)
    gone = star.connect(2)
    star.start()
    wait_for(lambda: len(star.hearts[0].peers) == 2)
    time.sleep(0.2)
    gone.close()
    assert star.hearts[1].why(20) == "rank 2 (node 2, c) has ended"
    assert star.hearts[0].why(20) == "rank 2 (node 2, c) has ended"
    time.sleep(2 * LIMIT)
    assert star.ended == {}


def test_an_orderly_end_is_no_loss(star: Star) -> None:
    star.add(1)
    star.start()
    wait_for(lambda: [peer.rank for peer in star.hearts[0].peers] == [1])
    star.hearts[1].stop()
    wait_for(lambda: star.hearts[0].peers == [])
    assert star.hearts[0].culprit is None
    assert star.ended == {}


def test_a_stranger_is_not_listened_to(star: Star) -> None:
    star.add(1)
    star.start()
    stranger = star.connect(2, token="guess")
    with contextlib.suppress(ConnectionResetError):
        assert stranger.recv(100) == b""
    time.sleep(2 * LIMIT)
    assert star.ended == {}


def test_a_checkpoint_is_written_before_the_end(star: Star) -> None:
    silent = star.connect(2)
    star.start()
    heartbeat.set_running(star.hearts[0])
    try:
        with heartbeat.uninterrupted():
            assert star.hearts[0].why(20) is not None
            time.sleep(0.3)
            assert star.ended == {}
        wait_for(lambda: 0 in star.ended)
    finally:
        heartbeat.set_running(None)
        silent.close()


def test_its_own_standstill_is_not_the_silence_of_others(star: Star, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that stood still (a suspended job, a debugger) hears before it judges."""
    link, other = socket.socketpair()
    star.hearts = {}
    heart = star.heart(1, server=link)
    clock = iter([*[0.0] * 3, 100.0, 100.1, 100.2])
    heart.peers[0].last_seen = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: next(clock, 100.3))
    worker = threading.Thread(target=heart.run)
    worker.start()
    heart._stopped.wait(1.5)
    heart._stopped.set()
    worker.join()
    other.close()
    assert star.ended == {}


def test_without_several_nodes_there_is_nothing_to_ask() -> None:
    assert heartbeat.culprit(0) is None
    with heartbeat.uninterrupted():
        pass
