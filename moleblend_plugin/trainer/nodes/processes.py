"""Who starts the processes of a run, and what is said when one of them is lost."""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:  # Fabric takes seconds to import, and one process does without it
    from lightning_fabric.plugins.environments import ClusterEnvironment

INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs that are a shell: what is typed there is one task, whatever was reserved."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Attributes:
        world: processes in all.
        local: processes on each node.
        started: whether a launcher has started them (else this process starts the others).
        environment: how those that a launcher started find each other; ``None``: Fabric starts them.
    """

    world: int
    local: int
    started: bool
    environment: ClusterEnvironment | None

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.world // self.local


def one_process() -> Processes:
    """This process alone, whoever started it."""
    return Processes(1, 1, False, None)


def find_processes(args: Namespace) -> Processes:
    """The processes that torchrun or SLURM's srun started, else ``--distributed-world-size`` of our own.

    The tasks of ``srun`` count; a batch script's own shell, and an interactive job, are one process.

    Raises:
        MoleblendError: SLURM does not say how many tasks each node has, nodes have different numbers of
            processes, or a launcher that is not known started several, each of which would train alone.
    """
    given = os.environ
    if "LOCAL_WORLD_SIZE" in given:  # torchrun, also inside a SLURM job
        return _of_torchrun()
    tasks = _count("SLURM_NTASKS")
    by_srun = "SLURM_STEP_ID" in given and given.get("SLURM_JOB_NAME") not in INTERACTIVE
    if by_srun and tasks > 1:
        per_node = given.get("SLURM_NTASKS_PER_NODE")
        if per_node is None:
            raise MoleblendError(
                f"SLURM runs {tasks} tasks but does not say how many per node: give srun --ntasks-per-node N"
            )
        local, nodes = _count("SLURM_NTASKS_PER_NODE"), _count("SLURM_NNODES", tasks // int(per_node))
        if local * nodes != tasks:
            raise MoleblendError(
                f"SLURM runs {tasks} tasks on {nodes} node(s), but {local} on this one: give every node "
                "as many, with srun --ntasks-per-node N"
            )
        from lightning_fabric.plugins.environments import SLURMEnvironment

        return Processes(tasks, local, True, SLURMEnvironment(auto_requeue=False))
    _refuse_other_launchers()
    world = args.distributed_world_size
    return Processes(world, world, False, None)


def _count(name: str, default: int = 1) -> int:
    """A launcher's number of something.

    Raises:
        MoleblendError: it is no number from 1 on.
    """
    value = os.environ.get(name, str(default))
    if not value.isdecimal() or int(value) < 1:
        raise MoleblendError(
            f"{name}={value!r} is not a number of processes: unset it or start with torchrun"
        )
    return int(value)


def _of_torchrun() -> Processes:
    missing = [name for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK") if name not in os.environ]
    if missing:
        raise MoleblendError(
            f"LOCAL_WORLD_SIZE is set, but {', '.join(missing)} not: start with torchrun, which "
            "sets all of them, or unset it"
        )
    world, local = _count("WORLD_SIZE"), _count("LOCAL_WORLD_SIZE")
    nodes = _count("GROUP_WORLD_SIZE", world // local)
    if local * nodes != world:
        raise MoleblendError(
            f"torchrun started {world} processes on {nodes} node(s), but {local} on this one: give every "
            "node the same --nproc_per_node"
        )
    from lightning_fabric.plugins.environments import TorchElasticEnvironment

    return Processes(world, local, True, TorchElasticEnvironment())


def _refuse_other_launchers() -> None:
    for name in ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"):
        if _count(name) > 1:
            raise MoleblendError(
                f"{name}={os.environ[name]}: another launcher than torchrun or srun started several "
                "processes, and each would train alone as rank 0: start them with torchrun or srun, or unset "
                f"{name} for one process"
            )
