"""Networks from checkpoints, for whoever predicts: a checkpoint's options and weights are all it takes."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from torch import nn

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder
from moleblend_plugin.models.property.network import ENCODER, PropertyOutputs, encoder_mismatch, encoder_part
from moleblend_plugin.networks.resolve import find_checkpoint_file
from moleblend_plugin.runs.devices import generators_kept
from moleblend_plugin.runs.flags import flag_of, read_flags
from moleblend_plugin.tasks.guards import refuse_not_finite
from moleblend_plugin.tasks.property.model import property_network

_OF_TRAINING: Final = (
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "drop_path",
    "checkpoint_activations",
)
"""Fields of a network's config that training may choose; the others come with its weights."""


def load_property_model(
    path: str | Path, use_ema: bool = False
) -> tuple[PropertyOutputs, argparse.Namespace]:
    """The network of a property run, on the CPU and in evaluation mode.

    Args:
        path: its checkpoint, of either host, or the name of a bundled network.
        use_ema: take the moving average of the weights.

    Returns:
        The network, and the run's options (``target_names``, ``input_mode``, ...).

    Raises:
        MoleblendError: no checkpoint, a damaged one, or one of another kind of run.
    """
    state, args = read_run(path)
    task = getattr(args, "task", None)
    if task != "moleblend_property" or not hasattr(args, "target_names"):
        raise MoleblendError(
            f"{str(path)!r} predicts no property: it is a checkpoint of --task {task}; "
            f"fine-tune it first with --task moleblend_property --finetune-from-model {path}"
        )
    with generators_kept():  # weights that are drawn here are overwritten; the caller's numbers are not ours
        model = property_network(args)
    fill(model, _weights(state, path, use_ema), path, model.ENCODER)
    return model, args


def load_encoder(path: str | Path, use_ema: bool = False) -> tuple[MoleBlendEncoder, argparse.Namespace]:
    """The encoder of a pretraining or property run, on the CPU and in evaluation mode.

    Args:
        path: its checkpoint, of either host, a converted published one, or the name of a bundled network.
        use_ema: take the moving average of the weights.

    Raises:
        MoleblendError: no checkpoint, a damaged one, or one without our encoder.
    """
    state, args = read_run(path)
    if not hasattr(args, "encoder_embed_dim"):
        raise MoleblendError(
            f"{str(path)!r} contains no Transformer encoder (it was trained with --arch {args.arch}); "
            "give a checkpoint of a moleblend_* Transformer"
        )
    with generators_kept():
        model = MoleBlendEncoder(read_flags(args, ModelConfig))
    fill(model, encoder_part(_weights(state, path, use_ema)), path, ENCODER)
    return model, args


def read_run(path: str | Path) -> tuple[dict[str, Any], argparse.Namespace]:
    """A checkpoint, by its path or the name of a bundled network, and the options of its run.

    Raises:
        MoleblendError: no checkpoint, a damaged one, or one without options.
    """
    state = read_checkpoint(find_checkpoint_file(path), required=("model", "args"))
    args = state["args"]
    if not isinstance(args, argparse.Namespace):
        raise MoleblendError(f"{str(path)!r} holds no options of a run: give a checkpoint of a trainer")
    return state, args


def network_flags(path: Path) -> list[str]:
    """Flags that build the network of a checkpoint, as far as training may not choose.

    Raises:
        MoleblendError: no checkpoint, or a damaged one.
    """
    args = read_checkpoint(find_checkpoint_file(path), ("model",)).get("args")
    given = {item.name: getattr(args, item.name) for item in fields(ModelConfig) if hasattr(args, item.name)}
    return [
        word
        for name, value in given.items()
        if name not in _OF_TRAINING
        for word in (flag_of(name), str(value))
    ]


def _weights(state: dict[str, Any], path: str | Path, use_ema: bool) -> dict[str, Any]:
    weights: dict[str, Any] = state["model"]
    if use_ema:
        if not state.get("ema"):
            raise MoleblendError(f"{str(path)!r} holds no moving average: train with --ema-decay")
        weights = weights | state["ema"]["params"]
    return weights


def fill(model: nn.Module, weights: dict[str, Any], path: str | Path, modules: tuple[str, ...] = ()) -> None:
    """Load a checkpoint's weights, all of them, and switch to evaluation mode.

    Args:
        model: built from the checkpoint's options.
        weights: by name.
        path: of the checkpoint, for messages.
        modules: how the names of modules begin that must be there in whole.

    Raises:
        MoleblendError: names or shapes differ, or a weight is not finite.
    """
    missing, unused = encoder_mismatch(model.state_dict(), weights, modules)
    if missing or unused:
        raise MoleblendError(
            f"{str(path)!r} does not hold the network that its options describe: "
            f"{(missing or unused)[0]!r} is {'missing' if missing else 'left over'}; use another checkpoint"
        )
    refuse_not_finite(model.state_dict(), weights, repr(str(path)))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).splitlines()[1:2]).strip() or str(error)
        raise MoleblendError(f"the weights of {str(path)!r} do not fit its options: {reason}") from error
    model.eval()
