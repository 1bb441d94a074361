"""The one border between this plugin and the trainer that runs it.

Under ``unicore-train`` the names of ``_NAMES`` are Uni-Core's own; everywhere else they are the embedded
trainer's, with the same method names and meaning. No other file of the package imports either trainer.

The names are looked up on first use, so that ``moleblend_plugin.runs.detect`` can be imported without torch.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from moleblend_plugin.runs.detect import chosen_host

if TYPE_CHECKING:  # both hosts keep one contract; type checkers read the embedded one
    from moleblend_plugin.runs.detect import Host
    from moleblend_plugin.trainer.checkpoints.file import read_checkpoint as read_checkpoint
    from moleblend_plugin.trainer.contract.dataset import BaseDataset as BaseDataset
    from moleblend_plugin.trainer.contract.loss import BaseLoss as BaseLoss
    from moleblend_plugin.trainer.contract.loss import LoggingOutput as LoggingOutput
    from moleblend_plugin.trainer.contract.loss import StepOutput as StepOutput
    from moleblend_plugin.trainer.contract.model import BaseModel as BaseModel
    from moleblend_plugin.trainer.contract.model import LoadedKeys as LoadedKeys
    from moleblend_plugin.trainer.contract.registry import register_loss as register_loss
    from moleblend_plugin.trainer.contract.registry import register_model as register_model
    from moleblend_plugin.trainer.contract.registry import (
        register_model_architecture as register_model_architecture,
    )
    from moleblend_plugin.trainer.contract.registry import register_task as register_task
    from moleblend_plugin.trainer.contract.task import BaseTask as BaseTask
    from moleblend_plugin.trainer.contract.task import HostOptimizer as HostOptimizer
    from moleblend_plugin.trainer.logging.metrics import log_derived as log_derived
    from moleblend_plugin.trainer.logging.metrics import log_scalar as log_scalar
    from moleblend_plugin.trainer.loop.batches import EpochBatches as EpochBatches

    HOST: Host

_NAMES = {  # Uni-Core's, and the module of ours that holds the name
    "BaseDataset": ("unicore.data:UnicoreDataset", "trainer.contract.dataset"),
    "BaseLoss": ("unicore.losses:UnicoreLoss", "trainer.contract.loss"),
    "BaseModel": ("unicore.models:BaseUnicoreModel", "trainer.contract.model"),
    "BaseTask": ("unicore.tasks:UnicoreTask", "trainer.contract.task"),
    "log_derived": ("unicore:metrics.log_derived", "trainer.logging.metrics"),
    "log_scalar": ("unicore:metrics.log_scalar", "trainer.logging.metrics"),
    "read_checkpoint": (
        "",
        "trainer.checkpoints.file",
    ),  # one layout, and ours runs nothing that a file holds
    "register_loss": ("unicore.losses:register_loss", "trainer.contract.registry"),
    "register_model": ("unicore.models:register_model", "trainer.contract.registry"),
    "register_model_architecture": (
        "unicore.models:register_model_architecture",
        "trainer.contract.registry",
    ),
    "register_task": ("unicore.tasks:register_task", "trainer.contract.registry"),
}

__all__ = ["HOST", *_NAMES]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    host = chosen_host()
    found = {
        key: resolve_name(theirs if host == "unicore" and theirs else f"moleblend_plugin.{ours}:{key}")
        for key, (theirs, ours) in _NAMES.items()
    }
    globals().update(found, HOST=host)
    return globals()[name]
