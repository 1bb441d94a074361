"""The one border between this plugin and the trainer that runs it.

Under ``unicore-train`` the names below are Uni-Core's own; everywhere else they are the embedded trainer's,
with the same method names and meaning. No other file of the package imports either trainer.

==============================  ============================  ==================================
name here                       Uni-Core                      embedded
==============================  ============================  ==================================
``BaseTask``                    ``UnicoreTask``               ``trainer.contract.task.BaseTask``
``BaseModel``                   ``BaseUnicoreModel``          ``trainer.contract.model.BaseModel``
``BaseLoss``                    ``UnicoreLoss``               ``trainer.contract.loss.BaseLoss``
``BaseDataset``                 ``UnicoreDataset``            ``trainer.contract.dataset.BaseDataset``
``register_*``, ``log_*``       same names                    ``trainer.contract.registry``, ``.metrics``
``read_checkpoint``             ours: the layout is one       ``trainer.checkpoints.file``
==============================  ============================  ==================================

The names are looked up on first use, so that ``moleblend_plugin.runs.detect`` can be imported without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moleblend_plugin.runs.detect import chosen_host

if TYPE_CHECKING:  # both hosts keep one contract; type checkers read the embedded one
    from moleblend_plugin.runs.detect import Host
    from moleblend_plugin.trainer.checkpoints.file import read_checkpoint
    from moleblend_plugin.trainer.contract.dataset import BaseDataset
    from moleblend_plugin.trainer.contract.loss import BaseLoss
    from moleblend_plugin.trainer.contract.model import BaseModel
    from moleblend_plugin.trainer.contract.registry import (
        register_loss,
        register_model,
        register_model_architecture,
        register_task,
    )
    from moleblend_plugin.trainer.contract.task import BaseTask
    from moleblend_plugin.trainer.logging.metrics import log_derived, log_scalar

    HOST: Host

__all__ = [
    "HOST",
    "BaseDataset",
    "BaseLoss",
    "BaseModel",
    "BaseTask",
    "log_derived",
    "log_scalar",
    "read_checkpoint",
    "register_loss",
    "register_model",
    "register_model_architecture",
    "register_task",
]


def _unicore_names() -> dict[str, object]:
    from unicore import metrics
    from unicore.data import UnicoreDataset
    from unicore.losses import UnicoreLoss, register_loss
    from unicore.models import BaseUnicoreModel, register_model, register_model_architecture
    from unicore.tasks import UnicoreTask, register_task

    from moleblend_plugin.trainer.checkpoints.file import read_checkpoint

    return {
        "BaseDataset": UnicoreDataset,
        "BaseLoss": UnicoreLoss,
        "BaseModel": BaseUnicoreModel,
        "BaseTask": UnicoreTask,
        "log_derived": metrics.log_derived,
        "log_scalar": metrics.log_scalar,
        "read_checkpoint": read_checkpoint,  # one layout, and ours runs nothing that a file holds
        "register_loss": register_loss,
        "register_model": register_model,
        "register_model_architecture": register_model_architecture,
        "register_task": register_task,
    }


def _embedded_names() -> dict[str, object]:
    from moleblend_plugin.trainer.checkpoints import file as checkpoint
    from moleblend_plugin.trainer.contract import dataset, loss, model, registry, task
    from moleblend_plugin.trainer.logging import metrics

    return {
        "BaseDataset": dataset.BaseDataset,
        "BaseLoss": loss.BaseLoss,
        "BaseModel": model.BaseModel,
        "BaseTask": task.BaseTask,
        "log_derived": metrics.log_derived,
        "log_scalar": metrics.log_scalar,
        "read_checkpoint": checkpoint.read_checkpoint,
        "register_loss": registry.register_loss,
        "register_model": registry.register_model,
        "register_model_architecture": registry.register_model_architecture,
        "register_task": registry.register_task,
    }


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    host = chosen_host()
    names = _unicore_names() if host == "unicore" else _embedded_names()
    globals().update(names, HOST=host)
    return globals()[name]
