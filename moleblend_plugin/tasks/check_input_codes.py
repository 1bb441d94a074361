"""``--input-codes``: whether what a run sees hangs on the order of atoms; the same from start to end."""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path

from moleblend_plugin.data.samples.input_codes import has_labels, input_codes_of
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.runs.run_files import LAST_CHECKPOINT
from moleblend_plugin.schema import InputCodes

logger = logging.getLogger("moleblend_plugin")


def choose_input_codes(args: Namespace, store: MoleculeStore) -> None:
    """Set ``args.input_codes``, which the run's checkpoints keep: as asked, or as the weights were trained.

    Args:
        args: the run's options.
        store: what it trains on.

    Raises:
        MoleblendError: the run goes on from other codes, or the store lacks those that are wanted.
    """
    asked: InputCodes | None = getattr(args, "input_codes", None)
    own, start = own_checkpoint(args), args.finetune_from_model
    source = own or (Path(start) if start else None)
    learned = None if source is None else _learned(source)
    if own is not None and asked not in (None, learned):
        raise MoleblendError(
            f"--input-codes {asked}: {str(own)!r}, which the run resumes, was trained on {learned}; "
            "leave the flag out, or choose an empty --save-dir"
        )
    if learned is not None and asked not in (None, learned):
        logger.warning(
            f"--input-codes {asked}: the weights of {str(source)!r} learned {learned}; what they know of "
            "stereocentres and paths is learned again"
        )
    chosen = asked or learned or ("invariant" if has_labels(store) else "published")
    if asked is None and learned is None and chosen == "published":
        logger.warning(
            f"{store.path} is of format 2 and holds order-dependent codes only: --input-codes published; "
            "build it again with 'moleblend build' for codes that do not hang on how a molecule is written"
        )
    args.input_codes = chosen
    check_store(store, chosen)


def check_store(store: MoleculeStore, codes: InputCodes) -> None:
    """Refuse a store that lacks the codes.

    Raises:
        MoleblendError: names the store and the remedies.
    """
    if codes == "invariant" and not has_labels(store):
        raise MoleblendError(
            f"{store.path} is of format 2 and holds no CIP labels, which the model sees; build it again with "
            "'moleblend build', or give --input-codes published to a run that begins again"
        )


def own_checkpoint(args: Namespace) -> Path | None:
    """The checkpoint that the run resumes from, where there is one."""
    name = getattr(args, "restore_file", None) or LAST_CHECKPOINT
    path = Path(args.save_dir) / LAST_CHECKPOINT if name == LAST_CHECKPOINT else Path(name)
    return path if path.is_file() else None


def _learned(path: Path) -> InputCodes | None:
    """Codes that a checkpoint was trained on; ``None`` where it is not a file, which the trainer reports."""
    if not path.is_file():
        return None
    args = read_checkpoint(path, ("model",)).get("args")
    return input_codes_of(args if isinstance(args, Namespace) else Namespace())
