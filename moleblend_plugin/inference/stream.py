"""A network over a stream of molecules: bounded memory, little padding, results in input order.

Molecules are taken in windows; a window is sorted by size, cut into batches, and put back in order. What
comes out for a molecule does not depend on its neighbours but for rounding: padding is masked, and the
network draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.data.samples.blend import Sample
from moleblend_plugin.data.samples.featurize import Features, featurize
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import InputCodes, InputFields, MoleculeRecord

WINDOW: Final = 4096
"""Molecules sorted together: enough to cut padding, few enough to hold with their results."""

PAIRS: Final = 1 << 18
"""Pairs of atoms per batch, B N^2, beyond which a batch gets fewer molecules: memory grows with them."""

FloatingArray = npt.NDArray[np.floating[Any]]

Net = Callable[[InputFields[torch.Tensor]], Sequence[FloatingArray]]
"""``net_input`` of a batch, on the device -> one array per molecule of it."""

ToSample = Callable[[Features], Sample]
"""Relations of a molecule -> what the network sees of them (without ``index``)."""


def cut(sizes: Sequence[int], batch_size: int, pairs: int = PAIRS) -> Iterator[slice]:
    """Consecutive batches of ascending ``sizes``: at most ``batch_size`` items and ``pairs`` padded pairs.

    An item that alone has more pairs is a batch of its own.
    """
    start = 0
    for end, size in enumerate(sizes):
        if end > start and (end - start == batch_size or (end - start + 1) * size**2 > pairs):
            yield slice(start, end)
            start = end
    if start < len(sizes):
        yield slice(start, len(sizes))


def run(
    records: Iterable[MoleculeRecord],
    to_sample: ToSample,
    net: Net,
    device: torch.device,
    batch_size: int,
    window: int = WINDOW,
    codes: InputCodes | None = None,
) -> Iterator[FloatingArray]:
    """What ``net`` gives for every record, averaged over its conformers, in the order of ``records``.

    Args:
        records: the molecules; taken as they are needed.
        to_sample: what the network sees of a molecule.
        net: the network; called in inference mode.
        device: where it computes.
        batch_size: items (conformers) per batch at most.
        window: molecules sorted together.
        codes: which codes of the records the network was trained on (``data.samples.featurize``).

    Raises:
        MoleblendError: ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise MoleblendError(f"a batch size of {batch_size}: give 1 or more")
    source = iter(records)
    while part := list(islice(source, window)):
        yield from _run_window(part, to_sample, net, device, batch_size, codes)


def _run_window(
    records: list[MoleculeRecord],
    to_sample: ToSample,
    net: Net,
    device: torch.device,
    batch_size: int,
    codes: InputCodes | None,
) -> list[FloatingArray]:
    """Results of some records, in their order."""
    conformers = [1 if record.coords is None else len(record.coords) for record in records]
    order = np.argsort([record.n_atoms for record in records], kind="stable").tolist()
    items = [(index, conformer) for index in order for conformer in range(conformers[index])]
    totals: list[FloatingArray] = [np.zeros(0)] * len(records)
    samples = _samples(records, items, to_sample, codes)
    for batch in cut([records[index].n_atoms for index, _ in items], batch_size):
        padded = collate(list(islice(samples, batch.stop - batch.start)))
        with torch.inference_mode():
            moved = {
                name: cast("torch.Tensor", value).to(device) for name, value in padded["net_input"].items()
            }
            outputs = net(cast("InputFields[torch.Tensor]", moved))
        for (index, conformer), output in zip(items[batch], outputs, strict=True):
            totals[index] = totals[index] + output if conformer else output
    return [total / count for total, count in zip(totals, conformers, strict=True)]


def _samples(
    records: list[MoleculeRecord], items: list[tuple[int, int]], to_sample: ToSample, codes: InputCodes | None
) -> Iterator[Sample]:
    """Sample of every (record, conformer); the conformers of a record share its paths."""
    features: Features | None = None
    for index, conformer in items:
        record = records[index]
        if features is None or conformer == 0:
            features = featurize(record, 0, codes)
        elif record.coords is not None:
            features = replace(features, coords=record.coords[conformer])
        yield to_sample(features) | {"index": np.array(index)}
