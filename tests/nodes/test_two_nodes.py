"""Two nodes for real: network namespaces on this machine, gloo, torchrun, the embedded trainer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moleblend_plugin.trainer import main as command
from tests.nodes.network import CABLE, TwoNodes, needs_two_nodes
from tests.trainer.conftest import CHOICES, Run
from tests.trainer.test_processes import assert_same_run, end

pytestmark = needs_two_nodes

ROOT = Path(__file__).parents[2]
WORKER = ["-m", "moleblend_plugin.trainer.main"]
FIXED = ("--cpu", "--batch-size", 4, "--num-workers", 0, "--lr", 1e-2, "--log-interval", 1)
ENDLESS = ("--max-update", 10**6, "--log-format", "none")
RESUME_HINT = "run the same command again to resume from the last checkpoint"


@pytest.fixture
def network() -> Iterator[Any]:
    made = TwoNodes()
    yield made
    made.close()


def argv(data: Any, folder: Any, *arguments: object) -> Any:
    return [str(word) for word in (data, *CHOICES, *FIXED, "--save-dir", folder, *arguments)]


def by_torchrun(network: Any, *words: object) -> Any:
    """The documented command on both nodes."""
    fixed = ["--nnodes=2", "--nproc_per_node=1", "--master_addr=node-a", "--master_port=29512"]
    launcher = [sys.executable, "-m", "torch.distributed.run", *fixed]
    return [
        node.start([*launcher, f"--node_rank={rank}", *WORKER, *argv(*words)], PYTHONPATH=str(ROOT))
        for rank, node in enumerate(network)
    ]


def by_hand(network: Any, *words: object, changes: Any = ({}, {})) -> Any:
    """The same without torchrun's own lines: the variables that it sets."""
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "GROUP_WORLD_SIZE": "2", "LOCAL_RANK": "0",
              "MASTER_ADDR": "node-a", "MASTER_PORT": "29512", "PYTHONPATH": str(ROOT)}  # fmt: skip
    return [
        node.start(
            [sys.executable, *WORKER, *argv(*words)],
            **shared | {"RANK": str(rank), "GROUP_RANK": str(rank)} | changes[rank],
        )
        for rank, node in enumerate(network)
    ]


def own_lines(text: Any) -> Any:
    """Standard error without torch's warnings."""
    return [line for line in text.splitlines() if not re.match(r"\[W\d|W\d", line)]


def wait_until_trained(processes: Any, folder: Any) -> None:
    log = folder / "train.jsonl"
    for _ in range(1800):
        assert all(process.poll() is None for process in processes), [p.communicate() for p in processes]
        if log.exists() and log.read_text().count("train_inner") >= 3:
            return
        time.sleep(0.1)
    raise AssertionError("no update within three minutes")


def one_process(folder: Any, data: Any, *arguments: object) -> Any:
    assert command.main(argv(data, folder, *arguments)) == 0
    return Run(0, folder, "", "")


def test_two_nodes_equal_one_process_and_go_on_as_one(network: Any, tmp_path: Path) -> None:
    """With Debian's /etc/hosts: each node's own name is 127.0.1.1 to itself.

    Then one process goes on from the last checkpoint of both.
    """
    first, second = network
    first.write_hosts(**{"node-a": "127.0.1.1", "node-b": second.address})
    second.write_hosts(**{"node-b": "127.0.1.1", "node-a": first.address})
    half, whole = ("--max-epoch", 1, "--clip-norm", 2), ("--max-epoch", 2, "--clip-norm", 2)
    one = one_process(tmp_path / "one", 36, *half, "--update-freq", 2)
    done = [end(process, tmp_path / "two") for process in by_torchrun(network, 36, tmp_path / "two", *half)]
    assert [node.code for node in done] == [0, 0], done
    assert_same_run(one, done[0], updates=5, validations=1)
    for number, node in enumerate(done):
        # The loopback would be refused at once, or after five times the timeout.
        announced = rf"node {number} of 2: announcing 10\.251\.77\.{number + 1} on {CABLE} \(the way to \S+;"
        assert len(re.findall(announced, node.err)) == 1, node.err
    straight = one_process(tmp_path / "straight", 36, *whole, "--update-freq", 2)
    rest = one_process(tmp_path / "two", 36, *whole, "--update-freq", 2)
    assert_same_run(straight, rest, updates=10, validations=2)


REFUSED = {
    # what is wrong on the second node, what it says, and what the first one says
    "an interface that others cannot reach": (
        {"GLOO_SOCKET_IFNAME": "alone"},
        r"error: the run was not started: rank 0 \(node 0, node-a\): 10\.99\.0\.2, which rank 1 .*announces",
        r"error: 10\.99\.0\.2, which rank 1 \(node 1, node-b\) announces, cannot be reached from here .*"
        r"Network is unreachable; set GLOO_SOCKET_IFNAME",
    ),
    "the loopback": (
        {"GLOO_SOCKET_IFNAME": "lo"},
        r"error: GLOO_SOCKET_IFNAME=lo announces 127\.0\.0\.1, which other nodes cannot reach: .* cable",
        r"error: the run was not started: rank 1 \(node 1, node-b\): GLOO_SOCKET_IFNAME=lo announces",
    ),
    "a first node's name that is not known": (
        {"MASTER_ADDR": "nobody"},
        r"error: the first node's name MASTER_ADDR='nobody' resolves to nothing on node-b",
        r"error: rank 0 \(node 0, node-a\) could not start.*(within 12 s|Timed out after).*: check that all",
    ),
}


@pytest.mark.parametrize(("change", "second", "first"), REFUSED.values(), ids=REFUSED)
def test_a_refused_start_is_one_line_on_every_node(
    network: Any, tmp_path: Path, change: Any, second: Any, first: Any
) -> None:
    """It was a traceback on one node and five times --distributed-timeout-minutes on the other."""
    other = network.nodes[1]
    other.ip("link", "add", "alone", "type", "veth", "peer", "name", "end")
    other.ip("link", "set", "end", "up")
    other.ip("addr", "add", "10.99.0.2/24", "dev", "alone")
    other.ip("link", "set", "alone", "up")
    words = (40, tmp_path / "run", "--max-update", 2, "--distributed-timeout-minutes", 0.2)
    done = [end(process, timeout=200) for process in by_hand(network, *words, changes=({}, change))]
    for node, told in zip(done, (first, second), strict=True):
        assert node.code == 2
        *before, last = own_lines(node.err)
        assert re.match(told, last), node.err
        assert all(line.startswith("node ") for line in before), node.err


def test_a_cut_link_ends_both_nodes_in_one_line(network: Any, tmp_path: Path) -> None:
    """No connection is closed: only signs of life tell."""
    nodes = by_hand(network, 40_000, tmp_path, *ENDLESS, "--heartbeat-timeout", 3)
    wait_until_trained(nodes, tmp_path)
    network.cut()
    for number, node in enumerate(end(process, timeout=60) for process in nodes):
        assert node.code == 2
        other = 1 - number
        lost = f"error: rank {other} (node {other}, node-{'ab'[other]}) has given no sign of life for 3 s"
        announced, last = own_lines(node.err)
        assert announced.startswith(f"node {number} of 2: announcing")
        assert last.startswith(lost), node.err
        assert last.endswith(RESUME_HINT)


def test_a_killed_node_ends_the_other_in_one_line(network: Any, tmp_path: Path) -> None:
    nodes = by_hand(network, 40_000, tmp_path, *ENDLESS)
    wait_until_trained(nodes, tmp_path)
    inside = ["ip", "netns", "pids", network.nodes[1].name]
    for pid in subprocess.run(inside, capture_output=True, text=True, check=True).stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    first = end(nodes[0], timeout=60)
    nodes[1].communicate()
    assert first.code == 2
    assert own_lines(first.err)[-1].startswith("error: rank 1 (node 1, node-b) has ended (")
    assert own_lines(first.err)[-1].endswith(RESUME_HINT)
    assert len(own_lines(first.err)) == 2
