"""Two nodes on one machine: network namespaces that a pair of virtual cables joins (Linux, root, iproute2).

Each node has a host name and an /etc/hosts of its own. Nothing leaves the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ADDRESSES = ("10.251.77.1", "10.251.77.2")
CABLE = "cable"


def why_not() -> str:
    """Why two nodes are not played here; empty where they are."""
    if os.environ.get("MOLEBLEND_NODES") != "two":
        return "two nodes take minutes: make nodes plays them"
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need iproute2 and util-linux"
    name = f"mbtry{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        return "this system allows no network namespaces (a container without privileges?)"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


REASON = why_not()
needs_two_nodes = pytest.mark.skipif(bool(REASON), reason=REASON)


@dataclass(frozen=True)
class Node:
    """One of the two nodes.

    Attributes:
        name: of its network namespace.
        host: its own name.
        address: its address at the cable.
    """

    name: str
    host: str
    address: str

    def write_hosts(self, **hosts: str) -> None:
        """Its /etc/hosts: localhost, and name=address."""
        folder = Path("/etc/netns") / self.name
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", *(f"{address} {host}" for host, address in hosts.items())]
        (folder / "hosts").write_text("\n".join(lines) + "\n")
        (folder / "resolv.conf").write_text("options timeout:1 attempts:1\n")

    def ip(self, *words: str) -> None:
        """Run ``ip`` inside."""
        subprocess.run(["ip", "-n", self.name, *words], check=True)

    def run(self, *words: str) -> bool:
        """Run a command inside; whether it went well."""
        return subprocess.run(["ip", "netns", "exec", self.name, *words], capture_output=True).returncode == 0

    def start(self, command: list[str], **environment: str) -> subprocess.Popen[str]:
        """Start a command inside, under the node's host name."""
        inside = 'hostname "$0" && exec "$@"'
        argv = ["ip", "netns", "exec", self.name, "unshare", "--uts", "sh", "-c", inside, self.host, *command]
        given = {key: value for key, value in os.environ.items() if not key.startswith(("GLOO_", "MASTER_"))}
        given |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"} | environment
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=given, start_new_session=True)


class TwoNodes:
    """The two nodes and their cable; :meth:`close` takes all away again."""

    def __init__(self) -> None:
        names = [f"mb{os.getpid()}n{number}" for number in range(2)]
        self.nodes = [Node(name, f"node-{'ab'[i]}", ADDRESSES[i]) for i, name in enumerate(names)]
        for node in self.nodes:
            subprocess.run(["ip", "netns", "add", node.name], check=True)
        first, second = self.nodes
        first.ip("link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", second.name)
        for node in self.nodes:
            node.write_hosts(**{other.host: other.address for other in self.nodes})
            node.ip("addr", "add", f"{node.address}/24", "dev", CABLE)
            node.ip("link", "set", "lo", "up")
            node.ip("link", "set", CABLE, "up")

    def __iter__(self) -> Any:
        return iter(self.nodes)

    def cut(self) -> None:
        """Pull the cable: no connection is closed."""
        self.nodes[0].ip("link", "set", CABLE, "down")

    def mend(self) -> None:
        """Put the cable back."""
        self.nodes[0].ip("link", "set", CABLE, "up")

    def spoil(self) -> str:
        """Make the cable slow, and lose packets where this system can; what was done.

        Not every kernel has netem; a bucket of tokens (tbf) delays by its queue, and iptables loses packets.
        """
        qdisc = ["tc", "qdisc", "add", "dev", CABLE, "root"]
        netem = ["netem", "delay", "200ms", "loss", "5%"]
        if all(node.run(*qdisc, *netem) for node in self.nodes):
            return "netem"
        bucket = ["tbf", "rate", "400kbit", "burst", "3000", "latency", "2s"]
        assert all(node.run(*qdisc, *bucket) for node in self.nodes)
        tool = shutil.which("iptables-legacy") or shutil.which("iptables") or "false"
        lose = [tool, "-A", "INPUT", "-i", CABLE, "-m", "statistic", "--mode", "random", "--probability"]
        lossy = all([node.run(*lose, "0.05", "-j", "DROP") for node in self.nodes])
        return "tbf and 5 % loss" if lossy else "tbf"

    def close(self) -> None:
        """End what runs inside and remove the nodes."""
        for node in self.nodes:
            inside = subprocess.run(["ip", "netns", "pids", node.name], capture_output=True, text=True)
            for pid in inside.stdout.split():
                subprocess.run(["kill", "-9", pid], capture_output=True)
            subprocess.run(["ip", "netns", "del", node.name], check=True)
            shutil.rmtree(Path("/etc/netns") / node.name, ignore_errors=True)
