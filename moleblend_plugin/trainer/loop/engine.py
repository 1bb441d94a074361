"""Devices, precision and processes: a thin layer over Lightning Fabric; one process on a CPU needs none.

Importing Fabric imports torch's compiler and its parts for many processes, which takes as long as torch.
"""

from __future__ import annotations

import warnings
from argparse import Namespace
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor, nn

from moleblend_plugin.entry import threads_for
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.devices import choose_device, device_type
from moleblend_plugin.trainer.loop.one_process import OneProcess
from moleblend_plugin.trainer.loop.sharding import shard
from moleblend_plugin.trainer.nodes.processes import Processes, find_processes

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins import Precision
    from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy

# Its successor exists in the newest torch only, and Fabric's wrapper takes any of them.
warnings.filterwarnings("ignore", message=".*broadcast_buffers. is deprecated")

_Wrapped = TypeVar("_Wrapped")


def _precision(args: Namespace) -> Precision:
    from lightning_fabric.plugins import MixedPrecision, Precision

    if args.fp16:
        scaler = torch.amp.GradScaler(
            "cuda", init_scale=args.fp16_init_scale, growth_interval=args.fp16_scale_window or 2**14
        )
        return MixedPrecision("16-mixed", device="cuda", scaler=scaler)
    if args.bf16:
        return MixedPrecision("bf16-mixed", device=device_type(args.cpu))
    return Precision()


def backend_of(args: Namespace) -> str:
    """What carries messages between processes: gloo on CPUs, else ``--distributed-backend``."""
    return str(args.distributed_backend) if device_type(args.cpu) == "cuda" else "gloo"


def build_fabric(args: Namespace, processes: Processes | None = None, gpu: int = 0) -> Fabric | OneProcess:
    """Fabric, or what stands for it, for the devices, processes and precision of the options.

    Several processes are started here, or were started by torchrun or srun, whose numbers then count.

    Args:
        args: the run's options.
        gpu: number of the GPU of a single process.
        processes: those of the run, where they are known; else they are looked for.

    Raises:
        MoleblendError: more processes than GPUs, or a device that cannot be used.
    """
    accelerator = device_type(args.cpu)
    processes = processes or find_processes(args)
    if accelerator == "mps" and processes.world > 1:
        raise MoleblendError(
            f"{processes.world} processes cannot share Apple's GPU (mps): give "
            "--distributed-world-size 1, or --cpu"
        )
    if accelerator == "cuda" and processes.local > torch.cuda.device_count():
        raise MoleblendError(
            f"{processes.local} processes are more than the {torch.cuda.device_count()} GPUs seen here: "
            "give a smaller --distributed-world-size, or start on several nodes with torchrun or srun"
        )
    args.distributed_world_size = processes.world
    if needs_fabric(args):
        return _fabric(args, processes, gpu, accelerator)
    return OneProcess(choose_device(accelerator))


def needs_fabric(args: Namespace) -> bool:
    """Whether there is something that Fabric does: several processes, a GPU, or another precision."""
    several = args.distributed_world_size > 1
    return bool(several or device_type(args.cpu) != "cpu" or args.fp16 or args.bf16)


def _fabric(args: Namespace, processes: Processes, gpu: int, accelerator: str) -> Fabric:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment
    from lightning_fabric.strategies import SingleDeviceStrategy

    precision, environment = _precision(args), processes.environment or LightningEnvironment()
    if processes.world == 1:
        device = choose_device(f"cuda:{gpu}" if accelerator == "cuda" else accelerator)
        single = SingleDeviceStrategy(device, precision=precision)
        return Fabric(accelerator=accelerator, devices=1, strategy=single, plugins=[LightningEnvironment()])
    return Fabric(
        accelerator=accelerator,
        devices=processes.local,
        num_nodes=processes.nodes,
        strategy=_strategy(args, processes, backend_of(args)),
        plugins=[environment, precision],
    )


def _strategy(args: Namespace, processes: Processes, backend: str) -> DDPStrategy | ModelParallelStrategy:
    import torch.distributed.fsdp
    from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy

    timeout = timedelta(minutes=args.distributed_timeout_minutes)
    if args.ddp_backend != "fsdp":
        return DDPStrategy(
            process_group_backend=backend,
            timeout=timeout,
            start_method="popen" if processes.started else "spawn",
            find_unused_parameters=args.find_unused_parameters,
            bucket_cap_mb=args.bucket_cap_mb,
            broadcast_buffers=False,  # processes validate different numbers of batches
        )
    if not processes.started:
        raise MoleblendError("--ddp-backend fsdp needs a launcher: start the command with torchrun or srun")
    if not hasattr(torch.distributed.fsdp, "fully_shard"):
        raise MoleblendError("--ddp-backend fsdp needs PyTorch 2.6 or newer: update it, or take c10d")
    if args.fp16:
        raise MoleblendError("--ddp-backend fsdp goes with float32 or --bf16: remove --fp16")
    return ModelParallelStrategy(
        shard,
        data_parallel_size=processes.world,
        tensor_parallel_size=1,
        process_group_backend=backend,
        timeout=timeout,
    )


class Engine:
    """What the trainer asks of Fabric.

    Args:
        fabric: launched.
    """

    def __init__(self, fabric: Fabric | OneProcess) -> None:
        self.fabric = fabric

    @property
    def _precision(self) -> Precision | None:
        return None if isinstance(self.fabric, OneProcess) else self.fabric.strategy.precision

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return int(self.fabric.world_size)

    @property
    def rank(self) -> int:
        """Number of this process."""
        return int(self.fabric.global_rank)

    @property
    def is_first(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Whether each process holds a part of the weights only, so that all must compute together."""
        if self.world_size == 1 or isinstance(self.fabric, OneProcess):
            return False
        from lightning_fabric.strategies import ModelParallelStrategy

        return isinstance(self.fabric.strategy, ModelParallelStrategy)

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """Loss scaler of a float16 run."""
        return cast("torch.amp.GradScaler | None", getattr(self._precision, "scaler", None))

    def to_device(self, sample: _Wrapped) -> _Wrapped:
        """A batch on this process's device."""
        return cast("_Wrapped", self.fabric.to_device(sample))

    def accumulate(self, model: nn.Module, more_follow: bool) -> AbstractContextManager[Any]:
        """Block in which gradients are not exchanged yet, if ``more_follow``."""
        return cast("AbstractContextManager[Any]", self.fabric.no_backward_sync(model, enabled=more_follow))

    def backward(self, loss: Tensor) -> None:
        """Backward with loss scaling and exchange of gradients where needed."""
        self.fabric.backward(loss)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the loss scale out of the gradients."""
        if self._precision is not None:
            self._precision.unscale_gradients(optimizer)

    def average_gradients(self, module: nn.Module) -> None:
        """Exchange gradients of a module that is not wrapped, as the wrapper would."""
        if self.world_size > 1:
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.grad.copy_(self.fabric.all_reduce(parameter.grad, reduce_op="mean"))

    def sum(self, values: list[float]) -> list[float]:
        """Element by element sum over processes."""
        if self.world_size == 1:
            return values
        total = self.fabric.all_reduce(
            torch.tensor(values, dtype=torch.float64, device=self.fabric.device), reduce_op="sum"
        )
        return cast("list[float]", total.tolist())

    def gather(self, value: _Wrapped) -> list[_Wrapped]:
        """The value of every process, in order of rank."""
        if self.world_size == 1:
            return [value]
        gathered = [value] * self.world_size
        torch.distributed.all_gather_object(gathered, value)
        return gathered

    def settle_threads(self, model: nn.Module) -> None:
        """Take as many threads as help this network on the CPU, no more than torch has been given."""
        weights = sum(parameter.numel() for parameter in model.parameters())
        wanted = threads_for(weights, self.world_size // self._nodes)
        if wanted is not None and self.fabric.device.type == "cpu":
            torch.set_num_threads(min(wanted, torch.get_num_threads()))

    @property
    def _nodes(self) -> int:
        return 1 if isinstance(self.fabric, OneProcess) else getattr(self.fabric.strategy, "num_nodes", 1)

    def barrier(self) -> None:
        """Wait for all processes."""
        self.fabric.barrier()
