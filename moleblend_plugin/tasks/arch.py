"""What the models of all tasks share: how weights are loaded, and how a preset fills in their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from moleblend_plugin.host import BaseModel
from moleblend_plugin.runs.flags import Config, WithFlags
from moleblend_plugin.tasks.guards import check_weights

if TYPE_CHECKING:
    from moleblend_plugin.host import LoadedKeys


class LoadsWeights(WithFlags, BaseModel):
    """Loads weights as the trainers ask, and refuses those of which none fits.

    Options that are not given come from the preset.
    """

    FLAG_DEFAULTS = False

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        strict: bool = True,
        assign: bool = False,
        model_args: argparse.Namespace | None = None,
    ) -> LoadedKeys:
        """Load weights; where names may differ (the trainers ask so), at least one must be the model's."""
        if not strict:
            state_dict = self.taken_of(state_dict)
            check_weights(self.state_dict(), state_dict)
        more = {"assign": True} if assign else {}  # Uni-Core's base class does not know it
        return super().load_state_dict(state_dict, strict=strict, model_args=model_args, **more)

    def taken_of(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is taken of weights whose names may differ."""
        return given


def preset(*configs: Config) -> Callable[[argparse.Namespace], None]:
    """What an architecture fills in: the fields of ``configs`` that no option gave."""

    def fill(args: argparse.Namespace) -> None:
        for config in configs:
            for name, value in asdict(config).items():
                setattr(args, name, getattr(args, name, value))

    return fill
