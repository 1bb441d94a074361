"""How molecules become records for a checkpoint: as they did for the data that it was trained on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.geometry.conformer_count import parse_conformers
from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD, METHODS
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError

_STEPS_BEFORE: Final = 200
"""``relax_steps`` of stores and checkpoints that do not name it: they were made when it was no option."""


class Conversion(NamedTuple):
    """How rows become records, and a line that says so."""

    config: ConversionConfig
    note: str


def conversion_for(
    args: argparse.Namespace, input_mode: str, conformers: int | str | None = None
) -> Conversion:
    """Conversion of new molecules for a checkpoint.

    A network that sees no 3D needs none. Otherwise the settings are those of its training data: from the
    checkpoint, or from the store that it was trained on where that still lies there; else one conformer.

    Args:
        args: the options in the checkpoint.
        input_mode: "2d", "3d" or "both".
        conformers: conformers per molecule, "none" to make none (molecules without 3D then show their 2D),
            ``None`` for as many as in training.

    Raises:
        MoleblendError: ``conformers`` is neither a number from 1 nor "none".
    """
    count = None if conformers is None else parse_conformers(conformers)
    if input_mode == "2d":
        return Conversion(ConversionConfig(None, source_coords=False), "2D only, as the network sees it")
    known = _settings_of_training(args)
    config, origin = ConversionConfig(ConformerConfig()), "the training data's settings are not known"
    if known is not None:
        config, origin = read_conversion(known), "as the training data"
    if conformers is not None:
        made = None if count is None else replace(config.conformers or ConformerConfig(), count=count)
        config, origin = replace(config, conformers=made), "as asked"
    return Conversion(config, f"{_words(config)}, {origin}")


def new_conversion(
    input_mode: str, conformers: int | str = 1, conformer_method: str = DEFAULT_METHOD
) -> ConversionConfig:
    """How an estimator turns molecules into records to be trained on.

    Args:
        input_mode: "2d", "3d" or "both".
        conformers: per molecule, or "none".
        conformer_method: "full" or "fast".

    Raises:
        MoleblendError: one of the last two is none of these.
    """
    if input_mode == "2d":
        return ConversionConfig(None, source_coords=False)
    count, made = parse_conformers(conformers), ConformerConfig.by_method(conformer_method)
    return ConversionConfig(None if count is None else replace(made, count=count))


def write_conversion(config: ConversionConfig) -> dict[str, Any]:
    """Plain values of ``config``, as stores and checkpoints keep them."""
    return config.settings()


def read_conversion(settings: Mapping[str, Any]) -> ConversionConfig:
    """The conversion that ``settings`` (of a store or a checkpoint) name; what they lack is the default.

    Conformers are made and checked as this version does (``ConversionConfig.geometry_version``), whatever
    theirs.
    """
    given = settings.get("conformers")
    known = {item.name for item in fields(ConformerConfig)}
    conformers = None if given is None else {key: value for key, value in given.items() if key in known}
    if conformers is not None:
        conformers.setdefault("relax_steps", _STEPS_BEFORE)
    return ConversionConfig(
        None if conformers is None else ConformerConfig(**conformers), settings.get("source_coords", True)
    )


def _settings_of_training(args: argparse.Namespace) -> Mapping[str, Any] | None:
    """``conversion`` in the options, else in the metadata of the training store."""
    kept = getattr(args, "conversion", None)
    if isinstance(kept, Mapping):
        return kept
    path = Path(getattr(args, "data", ""), f"{getattr(args, 'train_subset', 'train')}.lmdb")
    if not path.is_file():
        return None
    try:
        found = MoleculeStore(path).meta.settings.get("conversion")
    except MoleblendError:  # another file lies there by now; the caller tells what is done instead
        return None
    return found if isinstance(found, Mapping) else None


def _words(config: ConversionConfig) -> str:
    kept = "3D of the input kept" if config.source_coords else "3D of the input dropped"
    if config.conformers is None:
        return f"{kept}, no conformers made"
    count, how = config.conformers.count, METHODS[config.conformers.method].embedding
    how += "+MMFF94" if config.conformers.relax else ""
    return f"{kept}, else {count} conformer{'s' if count > 1 else ''} by {how}"
