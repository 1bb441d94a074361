"""Signs of life between the processes of several nodes, so that a lost node is reported within a minute.

A node that loses its power or its link closes no connection: whoever waits for its gradients would wait for
the whole of ``--distributed-timeout-minutes``, and that has to be long, since all wait while the first
process saves. So every process keeps a connection to rank 0, on which both ends beat from a thread of their
own, whatever the main thread does. Who has not beaten for ``--heartbeat-timeout`` seconds is lost: rank 0
tells the others which rank it was, and each ends with that line.

    hello TOKEN RANK     first line of a client; the token comes from the launcher's store
    beat                 a sign of life
    ended WORDS          a process has ended (its closed connection was seen); for whoever asks why it fails
    lost WORDS           a process is silent: end now
    bye                  an orderly end
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from moleblend_plugin.entry import FAILED

REPORT_SECONDS = 5.0
"""How much longer other processes of a node wait: its first process tells for all."""

Write = Callable[[str], None]


@dataclass
class Peer:
    """One end of a connection.

    Attributes:
        link: the socket, non-blocking.
        rank: of the process at the other end; -1 before it has said so.
        last_seen: when it was last heard (monotonic seconds).
        pending: bytes of a line that is not complete yet.
    """

    link: socket.socket
    rank: int
    last_seen: float = field(default_factory=time.monotonic)
    pending: bytes = b""

    def lines(self) -> list[str] | None:
        """Complete lines that have come in, ``None`` where the other end has closed."""
        try:
            data = self.link.recv(4096)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as error:
            if isinstance(error, ConnectionError):
                return None
            return []  # timed out or unreachable: silence, which the clock judges
        if not data:
            return None
        *whole, self.pending = (self.pending + data).split(b"\n")
        return [line.decode(errors="replace") for line in whole]

    def say(self, words: str) -> None:
        """Send a line; what does not fit into the buffer of a silent connection is not needed."""
        with contextlib.suppress(OSError):
            self.link.send(words.encode() + b"\n")


class Heartbeat(threading.Thread):
    """Beats, listens, and ends the process where another one is lost.

    Args:
        limit: seconds of silence after which a process is lost.
        names: how to call each rank.
        token: what clients must say first.
        listener: rank 0's listening socket.
        server: the other ranks' connection to rank 0.
        end: ends this process, given the words.
    """

    def __init__(
        self,
        limit: float,
        names: Mapping[int, str],
        token: str,
        end: Write,
        listener: socket.socket | None = None,
        server: socket.socket | None = None,
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.limit, self.names, self.token, self.end = limit, names, token, end
        self.period = min(5.0, limit / 5)
        self.peers: list[Peer] = []
        self.culprit: str | None = None
        self.known = threading.Event()
        self.busy = threading.Lock()
        self._stopped = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._listener = listener
        if listener is not None:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)
        if server is not None:
            self._add(Peer(server, 0))

    def _add(self, peer: Peer) -> None:
        peer.link.setblocking(False)
        self.peers.append(peer)
        self._selector.register(peer.link, selectors.EVENT_READ, peer)

    def _drop(self, peer: Peer) -> None:
        self.peers.remove(peer)
        self._selector.unregister(peer.link)
        peer.link.close()

    def run(self) -> None:
        """Beat until :meth:`stop`."""
        now, beaten = time.monotonic(), 0.0
        while not self._stopped.is_set():
            for key, _ in self._selector.select(min(0.5, self.period / 2)):
                self._receive(key.data)
            before, now = now, time.monotonic()
            if (standstill := now - before - self.period) > 0:  # of this process: not the others' silence
                for peer in self.peers:
                    peer.last_seen += standstill
            if now - beaten >= self.period:
                beaten = now
                self._send("beat")
            self._look_for_lost(now)
        self._send("bye")

    def _look_for_lost(self, now: float) -> None:
        for peer in list(self.peers):
            if now - peer.last_seen <= self.limit:
                continue
            self._drop(peer)
            if peer.rank >= 0:
                self._lose(
                    f"{self.names[peer.rank]} has given no sign of life for {self.limit:g} s "
                    "(--heartbeat-timeout): its node or the network is down, or the process stands still"
                )

    def _lose(self, words: str) -> None:
        self._send(f"lost {words}")
        self._note(words)
        with self.busy:
            self.end(words)

    def _note(self, words: str) -> None:
        if self.culprit is None:
            self.culprit = words
        self.known.set()

    def _send(self, words: str) -> None:
        for peer in self.peers:
            if peer.rank >= 0:
                peer.say(words)

    def _receive(self, peer: Peer | None) -> None:
        if peer is None:
            assert self._listener is not None
            with contextlib.suppress(OSError):
                self._add(Peer(self._listener.accept()[0], -1))
            return
        lines = peer.lines()
        if lines is None:
            self._drop(peer)
            if peer.rank >= 0 and not self._stopped.is_set():
                words = f"{self.names[peer.rank]} has ended"
                self._note(words)
                self._send(f"ended {words}")
            return
        for line in lines:
            if not self._obey(peer, line):
                self._drop(peer)
                return

    def _obey(self, peer: Peer, line: str) -> bool:
        """What a line asks for; whether the connection is still of use."""
        word, _, rest = line.partition(" ")
        if peer.rank < 0:
            token, _, rank = rest.partition(" ")
            if (word, token) != ("hello", self.token):
                return False  # a stranger
            peer.rank = int(rank)
        peer.last_seen = time.monotonic()
        if word == "ended":
            self._note(rest)
        elif word == "lost":
            self._lose(rest)
        return word != "bye"

    def why(self, seconds: float) -> str | None:
        """Who was lost, if it becomes known within ``seconds``."""
        self.known.wait(seconds)
        return self.culprit

    def stop(self) -> None:
        """Say goodbye: this process ends in order."""
        self._stopped.set()
        self.join(self.period + 1)


_running: Heartbeat | None = None


def set_running(heart: Heartbeat | None) -> None:
    """State which heartbeat belongs to this process."""
    global _running
    _running = heart


def culprit(seconds: float = 3.0) -> str | None:
    """Which process was lost, in words, where a heartbeat of this process knows or soon learns it."""
    return None if _running is None else _running.why(seconds)


def uninterrupted() -> contextlib.AbstractContextManager[object]:
    """Block that is finished before a lost process ends this one, such as the writing of a checkpoint."""
    return contextlib.nullcontext() if _running is None else _running.busy


def leave(words: str, reports: bool) -> None:
    """End this process at once, from any thread; the first process of a node says why.

    Args:
        words: why.
        reports: whether to write them.
    """
    if reports:
        os.write(2, f"error: {words}\n".encode())
    else:
        time.sleep(REPORT_SECONDS)
    os._exit(FAILED)
