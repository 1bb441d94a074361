"""Base class of models, with the contract of Uni-Core's ``BaseUnicoreModel``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any, Protocol

from torch import nn

from moleblend_plugin.trainer.contract.registry import base_of


class LoadedKeys(Protocol):
    """What torch says after weights were loaded; its own class is private."""

    missing_keys: list[str]
    unexpected_keys: list[str]


@base_of("model")
class BaseModel(nn.Module):
    """A model that the command line can choose by architecture."""

    @classmethod
    def add_args(cls, parser: ArgumentParser) -> None:
        """Declare the model's options; those not given stay absent until the architecture fills them in."""

    @classmethod
    def build_model(cls, args: Namespace, task: Any) -> BaseModel:  # noqa: ANN401  each names its own
        """Build the model from the completed options."""
        raise NotImplementedError(f"{cls.__name__} must define the class method build_model(args, task)")

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        strict: bool = True,
        assign: bool = False,
        model_args: Namespace | None = None,
    ) -> LoadedKeys:
        """Load weights; override to rename keys of older checkpoints.

        Args:
            state_dict: the weights, by name.
            strict: whether missing and unexpected names are errors.
            assign: as in torch.
            model_args: the run's options.
        """
        loaded: LoadedKeys = super().load_state_dict(state_dict, strict, assign)
        return loaded

    def set_num_updates(self, num_updates: int) -> None:
        """Called with the number of updates before every training step; passes it on to all submodules."""
        for module in self.modules():
            listener = getattr(module, "set_num_updates", None)
            if module is not self and listener is not None:
                listener(num_updates)
