"""Who starts processes, and what is said of lost ones."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host.in_process import train_in_process
from moleblend_plugin.trainer.nodes.lost import explain_loss
from moleblend_plugin.trainer.nodes.meeting import Place
from moleblend_plugin.trainer.nodes.processes import find_processes
from tests.trainer.conftest import CHOICES

TORCHRUN = {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "RANK": "5", "LOCAL_RANK": "1"}
SRUN = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_STEP_ID": "0", "SLURM_PROCID": "5"}


def found(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], world: int = 2
) -> tuple[int | str, ...]:
    for name in (*TORCHRUN, *SRUN, "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    processes = find_processes(Namespace(distributed_world_size=world))
    environment = type(processes.environment).__name__.removesuffix("Environment")
    return processes.world, processes.local, processes.nodes, processes.started, environment


def test_launchers_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, TORCHRUN) == (8, 4, 2, True, "TorchElastic")
    assert found(monkeypatch, SRUN) == (8, 4, 2, True, "SLURM")
    assert found(monkeypatch, SRUN | TORCHRUN) == (8, 4, 2, True, "TorchElastic")


def test_without_a_launcher_the_option_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    own = (2, 2, 1, False, "NoneType")
    assert found(monkeypatch, {}) == own
    assert found(monkeypatch, SRUN | {"SLURM_NTASKS": "1"}) == own
    assert found(monkeypatch, SRUN | {"SLURM_JOB_NAME": "bash"}) == own
    batch_script = {name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"}
    assert found(monkeypatch, batch_script) == own


def test_slurm_must_say_how_many_tasks_a_node_has(monkeypatch: pytest.MonkeyPatch) -> None:
    del (variables := dict(SRUN))["SLURM_NTASKS_PER_NODE"]
    with pytest.raises(MoleblendError, match="8 tasks but does not say how many per node: give srun"):
        found(monkeypatch, variables)


def test_only_lost_processes_are_explained() -> None:
    closed = "[/src/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"
    assert "went silent (Connection closed by peer [127.0.0.1]:1): its own" in str(
        explain_loss(RuntimeError(closed))
    )
    network = torch.distributed.DistNetworkError("timed out after 60 s")
    assert "went silent (timed out after 60 s)" in str(explain_loss(network))
    assert explain_loss(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            TORCHRUN | {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "2"},
            "3 processes on 1 node.s., but 2 on this one",
        ),
        (
            TORCHRUN | {"WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "1", "GROUP_WORLD_SIZE": "2"},
            "on 2 node.s., but 1",
        ),
        (SRUN | {"SLURM_NTASKS": "6", "SLURM_NNODES": "2"}, "6 tasks on 2 node.s., but 4 on this one"),
        (TORCHRUN | {"WORLD_SIZE": "many"}, "WORLD_SIZE='many' is not a number of processes"),
        (
            {"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2"},
            "is set, but RANK, LOCAL_RANK not: start",
        ),
    ],
    ids=["torchrun", "torchrun's nodes", "srun", "no number", "half of torchrun's"],
)
def test_nodes_with_different_numbers_of_processes_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    monkeypatch.delenv("GROUP_WORLD_SIZE", raising=False)
    with pytest.raises(MoleblendError, match=told):
        found(monkeypatch, variables)


def test_the_node_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun counts node by node; srun tells, since it may deal its tasks out in turn."""
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert Place.of(find_processes(Namespace(distributed_world_size=1))) == Place(5, 8, 1, 1, 2)
    for name in TORCHRUN:
        monkeypatch.delenv(name)
    for name, value in (SRUN | {"SLURM_LOCALID": "2", "SLURM_NODEID": "1", "SLURM_PROCID": "3"}).items():
        monkeypatch.setenv(name, value)
    assert Place.of(find_processes(Namespace(distributed_world_size=1))) == Place(3, 8, 2, 1, 2)


@pytest.mark.parametrize("name", ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_processes_of_another_launcher_do_not_train_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each would be rank 0 of a run of its own, in one folder."""
    with pytest.raises(MoleblendError, match=f"{name}=2: another launcher .* would train alone as rank 0"):
        found(monkeypatch, {name: "2"})
    assert found(monkeypatch, {name: "1"})[0] == 2


@pytest.mark.parametrize("variables", [SRUN, {"OMPI_COMM_WORLD_SIZE": "2"}], ids=["srun", "mpirun"])
def test_estimators_fit_alone_in_every_task_of_a_script(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str]
) -> None:
    """The tasks of such a script fit models of their own: nobody waits for another."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    words = [40, *CHOICES, "--cpu", "--batch-size", 4, "--num-workers", 0, "--max-update", 1]
    train_in_process([*map(str, words), "--save-dir", str(tmp_path)])
    assert (tmp_path / "checkpoint_last.pt").is_file()
