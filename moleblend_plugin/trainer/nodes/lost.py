"""What to say of a process that has ended: one that reads data, or another one of the run."""

from __future__ import annotations

from collections.abc import Iterable

import torch.distributed

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.stopping import Child, how_ended
from moleblend_plugin.trainer.nodes import heartbeat

RESUME_HINT = "run the same command again to resume from the last checkpoint"


def lost_worker(workers: Iterable[Child]) -> MoleblendError:
    """The error where a process that reads data has ended.

    Args:
        workers: the processes, those that go on among them.
    """
    ending = how_ended(workers)
    remedy = "give fewer --num-workers" if ending.memory else "--num-workers 0 reads without such processes"
    return MoleblendError(f"a data worker ended {ending.how}; {remedy}, and {RESUME_HINT}")


class LostProcess(MoleblendError):
    """Another process of the run has ended or is silent: every node reports it at once."""


def torch_reason(text: str) -> str:
    """What torch says of a connection, without source lines and advice: its first sentence."""
    return text.strip().partition("\n")[0].rpartition("] ")[2].partition(". ")[0].rstrip(". ")


def explain_loss(error: RuntimeError) -> MoleblendError | None:
    """The error where a process of the run was lost; ``None`` for any other error.

    Processes notice a lost one by its closed connection, in whatever they exchange next.
    """
    text = str(error)
    distributed = isinstance(error, torch.distributed.DistError) or "gloo" in text.lower()
    if not distributed:
        return None
    who = heartbeat.culprit() or "another process of this run ended or went silent"
    return LostProcess(
        f"{who} ({torch_reason(text)}): its own message or the system's log says why; {RESUME_HINT}"
    )
