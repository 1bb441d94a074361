"""Two nodes in trouble: a slow and lossy link, a node that dies, processes that torchrun starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes.network import CABLE, TwoNodes, needs_two_nodes
from tests.nodes.test_two_nodes import ROOT, WORKER, argv, by_hand, one_process, own_lines, wait_until_trained
from tests.tasks.test_pretrain import write_stores
from tests.trainer.same import assert_same
from tests.trainer.test_processes import end
from tests.trainer.test_resume import comparable

pytestmark = needs_two_nodes

EXAMPLE = ROOT / "examples" / "60_two_nodes"
UPDATES = 1500
SAVING = ("--save-interval-updates", 50, "--disable-validation", "--clip-norm", 2)


@pytest.fixture
def network() -> Iterator[Any]:
    made = TwoNodes()
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two nodes whose link is good."""
    made, folder = TwoNodes(), tmp_path_factory.mktemp("good") / "run"
    try:
        words = (40_000, folder, *SAVING, "--max-update", UPDATES)
        done = [end(process, folder, 300) for process in by_hand(made, *words)]
    finally:
        made.close()
    assert [node.code for node in done] == [0, 0], done
    return done[0]


def losses(run: Any) -> Any:
    """(update, loss) of every logged update, over all lives."""
    return [(event["num_updates"], event["loss"], event["gnorm"]) for event in run.events("train_inner")]


def test_a_slow_and_lossy_link_that_breaks_off_changes_no_bit(
    network: Any, undisturbed: Any, tmp_path: Path
) -> None:
    """From the start on; and twice the cable is out for two seconds, which is below --heartbeat-timeout."""
    done_to_the_link = network.spoil()
    began = time.monotonic()
    nodes = by_hand(network, 40_000, tmp_path, *SAVING, "--max-update", 100)
    wait_until_trained(nodes, tmp_path)
    for _ in range(2):
        network.cut()
        time.sleep(2)
        network.mend()
        time.sleep(1)
    done = [end(process, tmp_path, 300) for process in nodes]
    assert [node.code for node in done] == [0, 0], done
    print(f"\n{done_to_the_link}, two breaks of 2 s: 100 updates in {time.monotonic() - began:.0f} s")
    assert losses(done[0]) == losses(undisturbed)[:100]
    assert_same(comparable(done[0].state()), comparable(undisturbed.state("checkpoint_1_100.pt")))


def kill_inside(network: Any, number: int, *, agent: bool = True) -> None:
    """Kill the processes of a node, with or without torchrun's own."""
    inside = ["ip", "netns", "pids", network.nodes[number].name]
    for pid in subprocess.run(inside, capture_output=True, text=True, check=True).stdout.split():
        if agent or "torch.distributed.run" not in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(int(pid), signal.SIGKILL)


def test_after_a_node_has_died_one_process_goes_on_with_the_same_samples(
    network: Any, tmp_path: Path
) -> None:
    """Killed between two checkpoints: the other ends within a minute, in a line that says what to type."""
    nodes = by_hand(network, 40_000, tmp_path / "two", *SAVING, "--max-update", 10**6)
    while not (tmp_path / "two" / "checkpoint_last.pt").exists():
        time.sleep(0.1)
    kill_inside(network, 1)
    killed = time.monotonic()
    first = end(nodes[0], tmp_path / "two", timeout=60)
    assert time.monotonic() - killed < 60
    nodes[1].communicate()
    assert first.code == 2
    assert own_lines(first.err)[-1].startswith("error: rank 1 (node 1, node-b) has ended (")
    saved = first.state()["optimizer_history"][-1]["num_updates"]
    words = (40_000, *SAVING, "--update-freq", 2, "--max-update", saved + 20)
    straight = one_process(tmp_path / "one", *words)
    rest = one_process(tmp_path / "two", *words)
    assert losses(rest)[-20:] == [(update, pytest.approx(loss, rel=1e-5), pytest.approx(gnorm, rel=1e-5))
                                  for update, loss, gnorm in losses(straight)[-20:]]  # fmt: skip


def elastic(network: Any, *words: object) -> Any:
    """The command of ``examples/60_two_nodes/run_elastic.sh`` with the toy task."""
    shared = ["--nnodes=1:2", "--nproc_per_node=1", "--max_restarts=3", "--rdzv_backend=c10d",
              f"--rdzv_endpoint={network.nodes[0].address}:29513", "--rdzv_id=moleblend",
              "--rdzv_conf=last_call_timeout=5,join_timeout=60"]  # fmt: skip
    launcher = [sys.executable, "-m", "torch.distributed.run", *shared]
    return [
        node.start([*launcher, f"--local_addr={node.address}", *WORKER, *argv(*words)], PYTHONPATH=str(ROOT))
        for node in network
    ]


def wait_for_updates(folder: Path, count: int) -> None:
    log, until = folder / "train.jsonl", time.monotonic() + 180
    while not log.exists() or log.read_text().count("train_inner") < count:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_torchrun_starts_a_killed_process_again_and_the_numbers_stay(
    network: Any, undisturbed: Any, tmp_path: Path
) -> None:
    nodes = elastic(network, 40_000, tmp_path, *SAVING, "--max-update", UPDATES)
    wait_for_updates(tmp_path, 120)
    kill_inside(network, 1, agent=False)
    done = [end(process, tmp_path, 300) for process in nodes]
    assert [node.code for node in done] == [0, 0], done
    expected = {update: rest for update, *rest in losses(undisturbed)}
    assert all(expected[update] == rest for update, *rest in losses(done[0]))
    assert len(losses(done[0])) > UPDATES  # some were trained twice
    assert_same(comparable(done[0].state()), comparable(undisturbed.state()))


def test_torchrun_goes_on_with_the_node_that_is_left(network: Any, tmp_path: Path) -> None:
    """With --nnodes 1:2 and a whole node killed: one process goes on, with half the samples per update."""
    nodes = elastic(network, 40_000, tmp_path, *SAVING, "--max-update", UPDATES)
    wait_for_updates(tmp_path, 120)
    kill_inside(network, 1)
    first = end(nodes[0], tmp_path, 300)
    nodes[1].communicate()
    assert first.code == 0, first.err
    sizes = [event["bsz"] for event in first.events("train_inner")]
    assert (sizes[0], sizes[-1]) == (8, 4)
    assert first.state()["optimizer_history"][-1]["num_updates"] == UPDATES


def test_ipv6_is_written_without_brackets(network: Any, undisturbed: Any, tmp_path: Path) -> None:
    for number, node in enumerate(network):
        node.ip("addr", "add", f"fd00:77::{number + 1}/64", "dev", CABLE, "nodad")
    words = (40_000, tmp_path / "run", *SAVING, "--max-update", 50)
    plain = {"MASTER_ADDR": "fd00:77::1"}
    done = [end(process, tmp_path / "run") for process in by_hand(network, *words, changes=(plain, plain))]
    assert [node.code for node in done] == [0, 0], done
    assert "announcing " in done[1].err
    assert losses(done[0]) == losses(undisturbed)[:50]
    brackets = {"MASTER_ADDR": "[fd00:77::1]"}
    refused = [end(process) for process in by_hand(network, *words, changes=(brackets, brackets))]
    for node in refused:
        assert node.code == 2
        (line,) = own_lines(node.err)
        assert line.startswith("error: the first node's name MASTER_ADDR='[fd00:77::1]' resolves to nothing")
        assert "give its address in numbers without the brackets" in line


def test_the_example_runs_on_both_nodes(network: Any, tmp_path: Path) -> None:
    data = write_stores(tmp_path, {"train": [3 + number % 9 for number in range(16)], "valid": [4, 6]})
    more = ["--cpu", "--batch-size", "4", "--max-epoch", "1", "--num-workers", "0"]
    started = [
        node.start(
            [
                "bash",
                str(EXAMPLE / "run_torchrun.sh"),
                str(rank),
                "node-a",
                str(data),
                str(tmp_path / "run"),
                *more,
            ],
            PYTHON=sys.executable,
            PYTHONPATH=str(ROOT),
        )
        for rank, node in enumerate(network)
    ]
    done = [end(process, tmp_path / "run", 300) for process in started]
    assert [node.code for node in done] == [0, 0], done
    assert done[0].state()["optimizer_history"][-1]["num_updates"] == 2
