"""Who starts the processes of a run, and what is said when one of them is lost."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from lightning_fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.stopping import Child, how_ended

INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs that are a shell: what is typed there is one task, whatever was reserved."""

GO_ON = "go on with the same command from the last checkpoint"


@dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Attributes:
        world: processes in all.
        local: processes on each node.
        started: whether a launcher has started them (else this process starts the others).
        environment: how they find each other.
    """

    world: int
    local: int
    started: bool
    environment: ClusterEnvironment

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.world // self.local


def find_processes(args: Namespace) -> Processes:
    """The processes that torchrun or SLURM's srun started, else ``--distributed-world-size`` of our own.

    The tasks of ``srun`` count; a batch script's own shell, and an interactive job, are one process.

    Raises:
        MoleblendError: SLURM does not say how many tasks each node has.
    """
    given = os.environ
    if "LOCAL_WORLD_SIZE" in given:  # torchrun, also inside a SLURM job
        return Processes(
            int(given["WORLD_SIZE"]), int(given["LOCAL_WORLD_SIZE"]), True, TorchElasticEnvironment()
        )
    tasks = int(given.get("SLURM_NTASKS", 1))
    by_srun = "SLURM_STEP_ID" in given and given.get("SLURM_JOB_NAME") not in INTERACTIVE
    if by_srun and tasks > 1:
        per_node = given.get("SLURM_NTASKS_PER_NODE")
        if per_node is None:
            raise MoleblendError(
                f"SLURM runs {tasks} tasks but does not say how many per node: give srun --ntasks-per-node N"
            )
        return Processes(tasks, int(per_node), True, SLURMEnvironment(auto_requeue=False))
    world = args.distributed_world_size
    return Processes(world, world, False, LightningEnvironment())


def lost_worker(workers: Iterable[Child]) -> MoleblendError:
    """What to tell where a process that reads data has ended.

    Args:
        workers: the processes, those that go on among them.
    """
    ending = how_ended(workers)
    remedy = "give fewer --num-workers" if ending.memory else "--num-workers 0 reads without such processes"
    return MoleblendError(f"a data worker ended {ending.told}; {remedy}, and {GO_ON}")


def explain_loss(error: RuntimeError) -> MoleblendError | None:
    """What to tell where a process of the run was lost; ``None`` for any other error.

    Processes notice a lost one by its closed connection, in whatever they exchange next.
    """
    text = str(error)
    distributed = isinstance(error, torch.distributed.DistError) or "gloo" in text.lower()
    if not distributed:
        return None
    reason = text.splitlines()[0].rpartition("] ")[2].rstrip(". ")
    return MoleblendError(
        f"another process of this run ended or went silent ({reason}): its own message or the system's log "
        f"says why; {GO_ON}"
    )
