"""``--stereo-codes``: which codes of stereocentres a run sees, the same from its start to its end."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import get_args

from moleblend_plugin.data.stereo import has_labels, stereo_codes_of
from moleblend_plugin.data.store import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.host import read_checkpoint
from moleblend_plugin.schema import StereoCodes
from moleblend_plugin.tasks.guards import LAST

logger = logging.getLogger("moleblend_plugin")


def add_stereo_flag(parser: ArgumentParser) -> None:
    """``--stereo-codes``; its default depends on where the run begins."""
    parser.add_argument(
        "--stereo-codes",
        choices=get_args(StereoCodes),
        help="stereocentres as CIP labels, which do not hang on how a molecule is written, or as OGB's "
        "clockwise and counter-clockwise, which published models saw (default: those of the checkpoint that "
        "the run begins from, else cip; ogb where the store is of format 2)",
    )


def choose_stereo_codes(args: Namespace, store: MoleculeStore) -> None:
    """Set ``args.stereo_codes``, which the run's checkpoints keep: as asked, or as the weights were trained.

    Args:
        args: the run's options.
        store: what it trains on.

    Raises:
        MoleblendError: the run goes on from other codes, or the store lacks those that are wanted.
    """
    asked: StereoCodes | None = getattr(args, "stereo_codes", None)
    own, start = _own_checkpoint(args), getattr(args, "finetune_from_model", None)
    source = own or (Path(start) if start else None)
    learned = None if source is None else _learned(source)
    if own is not None and asked not in (None, learned):
        raise MoleblendError(
            f"--stereo-codes {asked}: {str(own)!r}, from which the run goes on, was trained on {learned}; "
            "leave the flag out, or choose an empty --save-dir"
        )
    if learned is not None and asked not in (None, learned):
        logger.warning(
            f"--stereo-codes {asked}: the weights of {str(source)!r} learned {learned}; what they know of "
            "stereocentres is learned anew"
        )
    chosen = asked or learned or ("cip" if has_labels(store) else "ogb")
    if asked is None and learned is None and chosen == "ogb":
        logger.warning(
            f"{store.path} is of format 2 and holds order-dependent stereo codes only: --stereo-codes ogb; "
            "build it again with 'moleblend build' for codes that do not hang on how a SMILES is written"
        )
    args.stereo_codes = chosen
    check_store(store, chosen)


def check_store(store: MoleculeStore, codes: StereoCodes) -> None:
    """Refuse a store that lacks the codes.

    Raises:
        MoleblendError: names the store and the remedies.
    """
    if codes == "cip" and not has_labels(store):
        raise MoleblendError(
            f"{store.path} is of format 2 and holds no CIP labels, which the model sees; build it again with "
            "'moleblend build', or give --stereo-codes ogb to a run that begins anew"
        )


def _own_checkpoint(args: Namespace) -> Path | None:
    """The checkpoint from which the run goes on, where there is one."""
    name = getattr(args, "restore_file", None) or LAST
    path = Path(args.save_dir) / LAST if name == LAST else Path(name)
    return path if path.is_file() else None


def _learned(path: Path) -> StereoCodes | None:
    """Codes that a checkpoint was trained on; ``None`` where it is no file, as the trainer tells."""
    if not path.is_file():
        return None
    args = read_checkpoint(path, ("model",)).get("args")
    return stereo_codes_of(args if isinstance(args, Namespace) else Namespace())
