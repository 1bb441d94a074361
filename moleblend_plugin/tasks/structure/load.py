"""Networks of MMSA-style (reconstructed) pretraining from checkpoints, and what they make of molecules."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from moleblend_plugin.data.batches.viewed import ViewedMolecules
from moleblend_plugin.data.samples.input_codes import input_codes_of
from moleblend_plugin.data.samples.views import ViewConfig, ViewMaker
from moleblend_plugin.data.store.image_file import ImageFile, images_path
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.blend.config import ModelConfig
from moleblend_plugin.models.structure.config import StructureConfig
from moleblend_plugin.models.structure.network import BlendedStructureAware, StructureAware
from moleblend_plugin.runs.flags import read_flags
from moleblend_plugin.schema import StructureOutput
from moleblend_plugin.tasks.load import fill, read_run
from moleblend_plugin.tasks.store_fingerprint import store_fingerprint

StructureNetwork = StructureAware | BlendedStructureAware

_NETWORKS: dict[str, type[StructureNetwork]] = {
    "moleblend_structure_aware": StructureAware,
    "moleblend_pretrain_structure_aware": BlendedStructureAware,
}


class Seen(NamedTuple):
    """Molecules as one batch, and what the network makes of them."""

    smiles: list[str]
    output: StructureOutput


def load_structure_model(path: Path) -> tuple[StructureNetwork, argparse.Namespace]:
    """The network of a structure-aware run, on the CPU and in evaluation mode, and the run's options.

    Raises:
        MoleblendError: no checkpoint, or one of another kind of run.
    """
    state, args = read_run(path)
    task = getattr(args, "task", None)
    if task not in _NETWORKS:
        raise MoleblendError(
            f"{str(path)!r} is a checkpoint of --task {task}: give one of --task {' or '.join(_NETWORKS)}"
        )
    args.image_weights = "none"  # they are in the checkpoint
    views = read_flags(args, ViewConfig).names
    model = _NETWORKS[task](read_flags(args, ModelConfig), read_flags(args, StructureConfig), views)
    fill(model, state["model"], path)
    return model, args


def look_at(model: StructureNetwork, args: argparse.Namespace, store_path: Path, count: int) -> Seen:
    """The first molecules of a store as one batch, without dropout, augmentation or dropped views.

    Args:
        model: of :func:`load_structure_model`.
        args: its options.
        store_path: a ``.lmdb`` store with drawings beside it, where the network has that view.
        count: how many molecules; no more than the store holds.
    """
    store, views = MoleculeStore(store_path), read_flags(args, ViewConfig)
    images = None
    if "image" in views.names:
        images = ImageFile(images_path(store_path), store_fingerprint(store_path), len(store))
    molecules = ViewedMolecules(store, ViewMaker(views, images, args.seed, training=False), args.seed)
    molecules.codes = input_codes_of(args)
    batch = molecules.collate([molecules[index] for index in range(min(count, len(store)))])
    if not batch:
        raise MoleblendError(f"{store_path}: none of the first {count} molecules can be read; build it again")
    with torch.no_grad():
        output = model.look(batch["net_input"], batch["views"], None)
    rows: np.ndarray = batch["index"].numpy()
    return Seen([store[int(row)].smiles for row in rows], output)
