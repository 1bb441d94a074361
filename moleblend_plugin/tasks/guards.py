"""Mistakes that a trainer would let pass in silence, refused (or repaired) by the task under either host.

Uni-Core trains for ever, saves nothing, or starts from fresh weights without a word in the cases below. What
the embedded trainer says itself for any task is not repeated here.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import HOST, read_checkpoint
from moleblend_plugin.networks.resolve import in_this_installation, resolve_start
from moleblend_plugin.runs.run_files import LAST_CHECKPOINT
from moleblend_plugin.runs.run_length import check_horizon
from moleblend_plugin.schema import Curve

logger = logging.getLogger("moleblend_plugin")

_IndexBatch = TypeVar("_IndexBatch", bound=Sequence[Any])


def check_run(args: Namespace, host: str = HOST) -> None:
    """Check the options of a run before anything is built; call it in ``setup_task``.

    Args:
        args: the run's options; ``tmp_save_dir`` is changed where it would be unsafe, and the name of a
            bundled network in ``finetune_from_model`` becomes its file.
        host: "unicore" or "embedded".

    Raises:
        MoleblendError: names flag and remedy.
    """
    check_horizon(args)
    resolve_start(args)  # Uni-Core opens it as a path
    _check_keeps_something(args, host)
    _check_start(args)
    if host == "unicore":
        _own_temporary_folder(args)


def _check_keeps_something(args: Namespace, host: str) -> None:
    validates = not args.disable_validation
    if args.no_save:
        if not validates:
            raise MoleblendError(
                "--no-save and --disable-validation: the run would keep nothing and measure nothing; "
                "remove one of them"
            )
        return
    if args.save_interval_updates > 0:
        return
    ends_by_count = args.max_update > 0 or args.stop_time_hours > 0  # Uni-Core saves at these ends only
    if host == "unicore" and args.no_epoch_checkpoints and not ends_by_count:
        never = "saved" if args.validate_interval_updates > 0 else "saved or validated"
        raise MoleblendError(
            "--no-epoch-checkpoints without --save-interval-updates: under Uni-Core nothing would be "
            f"{never}; give --save-interval-updates N, or --keep-last-epochs 1 in its place"
        )
    if args.no_epoch_checkpoints and args.no_last_checkpoints and not validates:
        raise MoleblendError(
            "--no-epoch-checkpoints, --no-last-checkpoints and --disable-validation: no checkpoint would be "
            "written; remove one of them or give --save-interval-updates N"
        )


def _check_start(args: Namespace) -> None:
    """Fine-tuning resumes from a last checkpoint only where that run began from the same file."""
    last, wanted = Path(args.save_dir) / LAST_CHECKPOINT, args.finetune_from_model
    if wanted is None or args.restore_file != LAST_CHECKPOINT or not last.is_file():
        return
    began = getattr(read_checkpoint(last).get("args"), "finetune_from_model", None)
    if began is None or in_this_installation(Path(began)).resolve() != Path(wanted).resolve():
        raise MoleblendError(
            f"--finetune-from-model {wanted!r} would be ignored: {str(last)!r} belongs to a run that "
            f"began from {began or 'fresh weights'}; choose an empty --save-dir, or remove the flag to resume"
        )
    logger.info(f"resuming from {last}, a run that began from {wanted}")


def begins_from_weights(args: Namespace) -> bool:
    """Whether a run resumes no checkpoint of its own, but begins from ``--finetune-from-model``."""
    last = Path(args.save_dir) / LAST_CHECKPOINT
    return bool(args.finetune_from_model) and args.restore_file == LAST_CHECKPOINT and not last.is_file()


def _own_temporary_folder(args: Namespace) -> None:
    """Uni-Core writes to ``./`` first, where another run's files may have the same names (W6)."""
    if Path(args.tmp_save_dir).resolve() != Path.cwd():
        return
    folder = Path(args.save_dir) / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    logger.warning(
        f"--tmp-save-dir {args.tmp_save_dir!r} is the working directory, which other runs may share: "
        f"checkpoints are prepared in {folder} instead"
    )
    args.tmp_save_dir = str(folder)


def check_best_metric(args: Namespace, loss: object) -> None:
    """Refuse a ``--best-checkpoint-metric`` that the loss does not log, or that is to go the wrong way.

    A loss tells the names by a method ``logged_names()``. It counts only where it is defined beside
    ``reduce_metrics``: a class that extends our loss and logs more is not second-guessed.

    Raises:
        MoleblendError: lists the names.
    """
    if args.disable_validation:
        return
    owner = next((cls for cls in type(loss).__mro__ if "reduce_metrics" in vars(cls)), None)
    if owner is None or "logged_names" not in vars(owner):
        return
    names: list[str] = loss.logged_names()  # type: ignore[attr-defined]
    if args.best_checkpoint_metric not in names:
        raise MoleblendError(
            f"--best-checkpoint-metric {args.best_checkpoint_metric!r} is not logged in validation: "
            f"choose from {', '.join(names)}"
        )
    check_direction(args, loss.curves() if hasattr(loss, "curves") else ())


def check_weights(own: Mapping[str, Tensor], given: Mapping[str, Tensor], host: str = HOST) -> None:
    """Refuse weights of which none, or none of that shape, belongs to the model; say what is left over.

    Args:
        own: the model's weights.
        given: a checkpoint's weights.
        host: the embedded trainer tells itself what is left over.

    Raises:
        MoleblendError: nothing would be loaded, a shape differs, or a weight is not finite.
    """
    shared = [name for name in own if name in given]
    fresh, unused = [name for name in own if name not in given], [name for name in given if name not in own]
    if not shared:
        raise MoleblendError(
            f"no weight would be loaded: the checkpoint holds {_some(unused)}, the model wants "
            f"{_some(fresh)}; give a checkpoint of this architecture ('moleblend import-official' converts "
            "published ones)"
        )
    for name in shared:
        if own[name].shape != given[name].shape:
            raise MoleblendError(
                f"size mismatch for {name}: {tuple(given[name].shape)} in the checkpoint, "
                f"{tuple(own[name].shape)} in the model: give the options of the checkpoint's own run"
            )
    refuse_not_finite(own, given)
    if host == "unicore" and (fresh or unused):
        logger.warning(
            f"{len(shared)} of {len(own)} weights are loaded ({_some(shared)}); fresh: {_some(fresh)}; "
            f"in the checkpoint only: {_some(unused)}"
        )


def refuse_not_finite(own: Mapping[str, Tensor], given: Mapping[str, Tensor], named: str = "") -> None:
    """Refuse the weights of a diverged run: whatever they predict is NaN, and no training corrects them.

    Args:
        own: the model's weights, before loading; what is infinite there (a mask) may be so.
        given: a checkpoint's weights.
        named: the checkpoint, for the message.

    Raises:
        MoleblendError: names the first weight that is not finite.
    """
    for name, value in given.items():
        before = own.get(name)
        if before is not None and bool(before.isfinite().all()) and not bool(value.isfinite().all()):
            raise MoleblendError(
                f"{named or 'the checkpoint'} is of a run that diverged: its weight {name} is not finite; "
                "give a checkpoint from before"
            )


def check_encoder(missing: Sequence[str], unused: Sequence[str]) -> None:
    """Refuse weights whose encoder is not the model's: a part of it would stay fresh, or be dropped.

    Args:
        missing: encoder weights that only the model has.
        unused: encoder weights that only the checkpoint has.

    Raises:
        MoleblendError: names what differs.
    """
    if missing or unused:
        raise MoleblendError(
            f"the checkpoint's encoder differs: it lacks {_some(missing)}, and has {_some(unused)} "
            "besides; give the --arch and encoder options of its own run"
        )


def check_direction(args: Namespace, curves: Iterable[Curve]) -> None:
    """Refuse to keep the worst checkpoint as the best.

    Args:
        args: the run's options.
        curves: what the run logs, and which way is better.

    Raises:
        MoleblendError: names the metric and what to change.
    """
    rises = {curve.key: curve.rises for curve in curves}.get(args.best_checkpoint_metric)
    if args.disable_validation or rises in (None, args.maximize_best_checkpoint_metric):
        return
    raise MoleblendError(
        f"--best-checkpoint-metric {args.best_checkpoint_metric}: {'higher' if rises else 'lower'} is "
        "better, so the worst checkpoint would be kept; "
        f"{'add' if rises else 'remove'} --maximize-best-checkpoint-metric"
    )


def _some(names: Iterable[str], most: int = 4) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + more


def check_warmup(args: Namespace, batches: int) -> None:
    """Refuse a warm-up ratio of a run so short that the trainer counts no updates.

    Args:
        args: the run's options.
        batches: batches per epoch in this process.

    Raises:
        MoleblendError: the learning rate would stay 0.
    """
    if getattr(args, "warmup_ratio", -1) > 0 and args.max_epoch > 0 and batches + 1 < args.update_freq[0]:
        raise MoleblendError(
            f"--warmup-ratio {args.warmup_ratio}: {batches} batches per epoch are not even one update with "
            f"--update-freq {args.update_freq[0]}, so the learning rate would stay 0; give --warmup-updates, "
            "or a smaller --batch-size or --update-freq"
        )


def even_batches(batches: Sequence[_IndexBatch], shards: int) -> list[_IndexBatch]:
    """Halve the largest batches until all processes get equally many.

    Uni-Core divides by too few samples where an update of several batches ends in an empty one (W2).
    Every molecule still counts once, since an update is the mean over its molecules.

    Args:
        batches: indices of each batch.
        shards: number of processes.

    Raises:
        MoleblendError: there are fewer molecules than processes.
    """
    even = list(batches)
    while len(even) % shards:
        place = max(range(len(even)), key=lambda number: len(even[number]))
        half = len(even[place]) // 2
        if half == 0:
            raise MoleblendError(
                f"{len(even)} molecules cannot be shared evenly among {shards} processes with --update-freq: "
                "give fewer processes or --update-freq 1"
            )
        even[place : place + 1] = [even[place][:half], even[place][half:]]  # type: ignore[list-item]
    return even
