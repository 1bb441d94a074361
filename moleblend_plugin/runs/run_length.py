"""Whether a run has an end: asked by the embedded trainer always, by our tasks under Uni-Core."""

from __future__ import annotations

from argparse import Namespace

from moleblend_plugin.errors import MoleblendError


def check_horizon(args: Namespace) -> None:
    """Refuse a run without an end.

    Uni-Core would train until the disk is full, and a warm-up that is a share of no updates keeps its
    learning rate at 0.

    Raises:
        MoleblendError: neither ``--max-epoch`` nor ``--max-update`` is above 0.
    """
    if args.max_epoch > 0 or args.max_update > 0:
        return
    if getattr(args, "warmup_ratio", -1) > 0:
        raise MoleblendError(
            f"the run has no end, so --warmup-ratio {args.warmup_ratio} is a share of nothing: give "
            "--max-epoch or --max-update a value above 0"
        )
    raise MoleblendError("the run has no end: give --max-epoch or --max-update a value above 0")
