"""Many clients at once against a running `moleblend serve`: answers, waiting times, memory of the server.

python tools/bench/serve_load.py http://127.0.0.1:8000 --pid PID   # 50 clients for a minute; PID is its
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

PIECES = (
    "C",
    "CC",
    "O",
    "N",
    "c1ccccc1",
    "C(=O)O",
    "C(=O)N",
    "C1CCCCC1",
    "c1ccncc1",
    "S(=O)(=O)C",
    "CF",
    "Cl",
)
BAD = "C1CC"


class Clients:
    """What all clients share.

    Args:
        url: of the server.
        seconds: how long they send.
        rows: molecules of a request; the last one is no molecule.
    """

    def __init__(self, url: str, seconds: float, rows: int) -> None:
        self.place = urlsplit(url).netloc
        self.end = time.monotonic() + seconds
        self.rows = rows
        self.waits: list[float] = []
        self.problems: Counter[str] = Counter()
        self._lock = threading.Lock()

    def send(self, number: int) -> None:
        """One client: a request after the other, on one connection."""
        rng = random.Random(number)
        connection = http.client.HTTPConnection(self.place, timeout=300)
        while time.monotonic() < self.end:
            smiles = [
                "C" + "C".join(rng.choices(PIECES[:7], k=5)) + rng.choice(PIECES) for _ in range(self.rows)
            ]
            smiles[-1] = BAD
            start = time.monotonic()
            try:
                connection.request(
                    "POST", "/predict", json.dumps(smiles), {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                problem = self._problem(answer.status, answer.read(), smiles)
            except OSError as error:
                problem = type(error).__name__
                connection.close()
            with self._lock:
                if problem:
                    self.problems[problem] += 1
                else:
                    self.waits.append(time.monotonic() - start)

    @staticmethod
    def _problem(status: int, body: bytes, smiles: list[str]) -> str:
        """What is wrong with an answer: each row must be there, the last one alone without a number."""
        if status != 200:
            return f"HTTP {status}"
        rows = json.loads(body)["rows"]
        if [row["smiles"] for row in rows] != smiles:
            return "rows of another request"
        return (
            ""
            if [bool(row["reason"]) for row in rows] == [text == BAD for text in smiles]
            else "wrong reasons"
        )


def memory(pid: int | None) -> float:
    """Resident memory of a process in MB; NaN without one (Linux)."""
    if pid is None:
        return float("nan")
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def main() -> None:
    """Send, watch, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--pid", type=int)
    given = parser.parse_args()
    before = memory(given.pid)
    clients = Clients(given.url, given.seconds, given.rows)
    threads = [threading.Thread(target=clients.send, args=(number,)) for number in range(given.clients)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    seen = []
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(5.0, given.seconds))
        seen.append(memory(given.pid))
    took = time.monotonic() - start
    waits = sorted(clients.waits)
    print(f"{given.clients} clients, {took:.1f} s: {len(waits)} answers ({len(waits) / took:.1f}/s)")
    if waits:
        shares = {
            name: waits[min(len(waits) - 1, int(q * len(waits)))]
            for name, q in (("median", 0.5), ("95 %", 0.95))
        }
        print(
            "waited "
            + ", ".join(f"{name} {value:.2f} s" for name, value in shares.items())
            + f", longest {waits[-1]:.2f} s"
        )
    print(f"problems: {dict(clients.problems) or 'none'}")
    later = " ".join(f"{value:.0f}" for value in seen)
    print(f"memory of the server: {before:.0f} MB before, every 5 s {later} MB")


if __name__ == "__main__":
    main()
