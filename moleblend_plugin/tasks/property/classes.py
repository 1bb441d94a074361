"""The classes of a run with several of them in one column: how many there are, and which have no label."""

from __future__ import annotations

import argparse
import logging

from moleblend_plugin.data.batches.label_statistics import Labels
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.losses.property import MulticlassConfig
from moleblend_plugin.runs.flags import read_flags

logger = logging.getLogger("moleblend_plugin")


def class_names_of(args: argparse.Namespace) -> tuple[str, ...]:
    """Names of the classes of a run with several of them, from its options; none of another run."""
    several = getattr(args, "loss", "") == "moleblend_multiclass"
    return read_flags(args, MulticlassConfig).names if several else ()


def choose_classes(labels: Labels, config: MulticlassConfig, split: str) -> int:
    """K, the number of classes: what the options say, else one more than the largest label.

    Args:
        labels: of the training split.
        config: the options.
        split: its name, for messages.

    Raises:
        MoleblendError: a label is no class of the options, or there are fewer than two classes.
    """
    wanted = config.num_classes or len(config.names) or max(2, len(labels.of_class))
    check_classes(labels, wanted, split)
    counts = [*labels.of_class, *[0] * (wanted - len(labels.of_class))]
    names = config.names or tuple(map(str, range(wanted)))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty and len(empty) < wanted - 1:  # with one class, or none, the run is refused
        more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        logger.warning(
            f"{split}: no label of class {', '.join(empty[:5])}{more}; nothing is learned about it"
        )
    return wanted


def check_classes(labels: Labels, num_classes: int, split: str) -> None:
    """Refuse labels beyond the classes of a run.

    Raises:
        MoleblendError: there is one.
    """
    if len(labels.of_class) > num_classes:
        raise MoleblendError(
            f"{split}: column {labels.names[0]!r} holds the class {len(labels.of_class) - 1}, but the run "
            f"has {num_classes} classes, 0 to {num_classes - 1}: give --num-classes {len(labels.of_class)}"
        )
