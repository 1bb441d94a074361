"""Where tensors compute: the one place that turns a name into a device, for trainers and everyone else.

``auto`` is the first CUDA GPU (ROCm's too), else Apple's GPU (``mps``), else the CPU. What Apple's GPU lacks:

==================  ==================================================================================
float64             does not exist: numbers go to the CPU before they become float64
several processes   there is one device, and no process group for it
``--fp16``          its gradient scaler is CUDA's; ``--bf16`` works through autocast (macOS 14 or newer)
pinned memory       memory is shared, so there is nothing to pin
==================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from moleblend_plugin.errors import MoleblendError

NAMES = "auto, cpu, cuda, cuda:N, mps"
"""What may be named."""


def available() -> tuple[str, ...]:
    """Names of the devices that torch sees here, the one that ``auto`` takes first; the CPU always is."""
    gpus = (
        [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    return (*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu")


def device_type(cpu: bool = False) -> str:
    """ "cuda", "mps" or "cpu": what ``auto`` takes, or the CPU where it is asked for."""
    return "cpu" if cpu else available()[0].partition(":")[0]


def choose_device(name: str = "auto") -> torch.device:
    """The device of a name, which has been tried.

    Args:
        name: "auto", "cpu", "cuda" (its first), "cuda:N" or "mps".

    Raises:
        MoleblendError: an unknown name, or no such device here; those that are here are listed.
    """
    wanted = str(name).strip().lower()
    if wanted == "auto":
        wanted = available()[0]
    wanted = "cuda:0" if wanted == "cuda" else wanted
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise _refusal(name, "it is not the name of a device") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise _refusal(name, "networks run on the CPU, CUDA and MPS")
    if device.index and device.type != "cuda":
        raise _refusal(name, f"there is one device of type {device.type}")
    if device.type not in {there.partition(":")[0] for there in available()}:
        raise _refusal(name, f"torch sees none of type {device.type}")
    if device.type == "cuda" and torch.cuda.is_available() and device.index >= torch.cuda.device_count():
        raise _refusal(name, f"torch sees {torch.cuda.device_count()} CUDA GPU(s)")
    try:
        torch.zeros(1, device=device).add_(1)  # a computation: a driver may fit the build only in part
    except (RuntimeError, AssertionError, NotImplementedError, AttributeError) as error:
        raise _refusal(name, _first_sentence(error)) from error
    return device


def _first_sentence(error: Exception) -> str:
    """Of what torch says, which may list every backend that it has."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.partition(". ")[0][:200]


def _refusal(name: str, why: str) -> MoleblendError:
    named = f"device {name!r}" if name != "auto" else f"device 'auto', which is {available()[0]!r} here,"
    remedy = "name another device" if name == "auto" else f"give one of {NAMES}"
    return MoleblendError(
        f"{named} cannot be used here ({why}); {remedy} (there are here: {', '.join(available())})"
    )


def empty_cache() -> None:
    """Give memory that is not in use back to the driver, after a batch was too large."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


@contextmanager
def generators_kept(all_gpus: bool = False) -> Iterator[None]:
    """Leave torch's generators, those of GPUs in use too, as they were before the block.

    Args:
        all_gpus: every CUDA GPU, not only the one in use.
    """
    devices: list[int] = []
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        devices = list(range(torch.cuda.device_count())) if all_gpus else [torch.cuda.current_device()]
    apple = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        if apple is not None:
            torch.mps.set_rng_state(apple)
