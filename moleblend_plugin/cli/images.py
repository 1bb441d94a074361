"""``moleblend images``: a drawing of every molecule of a folder of stores, kept beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moleblend_plugin.cli._options import usable_cores
from moleblend_plugin.cli._output import writing
from moleblend_plugin.cli.inspect import store_files
from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moleblend_plugin.data.store.image_file import ImageWriter
    from moleblend_plugin.data.store.reader import MoleculeStore

_CHUNK = 256
"""Molecules per transaction and per message to a worker."""


def images(
    store: Annotated[Path, typer.Argument(help="A .lmdb store, or a folder that moleblend build made.")],
    image_size: Annotated[int, typer.Option("--image-size", help="Pixels along a side.")] = 224,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw [default: one per core].")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Draw again what is there.")] = False,
) -> None:
    """Draw molecules for MMSA-style (reconstructed) pretraining: train.lmdb gets train.images, and so on.

    An interrupted run goes on where it was. A molecule that cannot be drawn is used without that view.
    """
    from moleblend_plugin.data.store.image_file import ImageWriter, images_path
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.tasks.store_fingerprint import store_fingerprint

    if not 32 <= image_size <= 1024:
        raise MoleblendError(f"--image-size {image_size}: give 32 to 1024 pixels")
    for path in store_files(store) if store.is_dir() else [store]:
        opened, target = MoleculeStore(path), images_path(path)
        with writing(target):
            if overwrite:
                target.unlink(missing_ok=True)
            with ImageWriter(target, store_fingerprint(path), image_size) as writer:
                there = len(writer)
                blank = _draw_rest(opened, writer, image_size, workers or usable_cores())
        found = f", {there:,} of them before" if there else ""
        print(f"{target}: {len(opened):,} molecules{found}; {blank:,} could not be drawn")


def _draw_rest(opened: MoleculeStore, writer: ImageWriter, size: int, workers: int) -> int:
    """Draw from the first missing molecule on; gives how many could not be drawn."""
    blank, start = 0, len(writer)
    workers = min(workers, -(-(len(opened) - start) // _CHUNK))  # a process without a chunk only starts
    for drawings in _drawn(_chunks(opened, start), size, workers):
        writer.add(drawings)
        blank += sum(drawing is None for drawing in drawings)
    return blank


def _chunks(opened: MoleculeStore, start: int) -> Iterator[list[str]]:
    for first in range(start, len(opened), _CHUNK):
        yield [_smiles(opened, number) for number in range(first, min(first + _CHUNK, len(opened)))]


def _smiles(opened: MoleculeStore, number: int) -> str:
    from moleblend_plugin.data.store.reader import DamagedValue

    try:
        return opened[number].smiles
    except DamagedValue:  # training tells the row and leaves it out
        return ""


def _drawn(chunks: Iterator[list[str]], size: int, workers: int) -> Iterator[list[bytes | None]]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from itertools import islice, repeat

    from moleblend_plugin.chem.draw import draw_all
    from moleblend_plugin.chem.workers import Spawning

    if workers <= 1:
        yield from (draw_all(chunk, size) for chunk in chunks)
        return
    context = Spawning()
    with ProcessPoolExecutor(workers, context) as pool:
        while block := list(islice(chunks, 4 * workers)):
            try:
                yield from pool.map(draw_all, block, repeat(size))
            except BrokenProcessPool as error:
                raise context.lost("drawing", "; run the command again to resume") from error
