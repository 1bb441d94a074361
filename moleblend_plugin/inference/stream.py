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
from moleblend_plugin.data.head_inputs import HeadInputs
from moleblend_plugin.data.samples.blend import Sample
from moleblend_plugin.data.samples.featurize import Features, featurize
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.parts.kernels import many_predicted
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
    head_inputs: HeadInputs | None = None,
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
        head_inputs: what the network reads of a molecule beside its atoms; ``None``: nothing.

    Raises:
        MoleblendError: ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise MoleblendError(f"a batch size of {batch_size}: give 1 or more")
    source = iter(records)
    while part := list(islice(source, window)):
        items = _Items(part, to_sample, codes, head_inputs)
        yield from _run_window(items, net, device, batch_size)


class _Items:
    """Every (record, conformer) of some records, ascending in size, and its sample."""

    def __init__(
        self,
        records: list[MoleculeRecord],
        to_sample: ToSample,
        codes: InputCodes | None,
        head_inputs: HeadInputs | None,
    ) -> None:
        self.records = records
        self.to_sample = to_sample
        self.codes = codes
        self.head_inputs = head_inputs
        self.conformers = [1 if record.coords is None else len(record.coords) for record in records]
        order = np.argsort([record.n_atoms for record in records], kind="stable").tolist()
        self.numbers = [(index, conformer) for index in order for conformer in range(self.conformers[index])]

    def samples(self) -> Iterator[Sample]:
        """In the order of ``numbers``; the conformers of a record share its paths, and head inputs."""
        features: Features | None = None
        beside: Sample = cast("Sample", {})
        for index, conformer in self.numbers:
            record = self.records[index]
            if features is None or conformer == 0:
                features = featurize(record, 0, self.codes)
                if self.head_inputs is not None:
                    beside = cast("Sample", {"head_inputs": self.head_inputs(record)})
            elif record.coords is not None:
                features = replace(features, coords=record.coords[conformer])
            yield self.to_sample(features) | beside | {"index": np.array(index)}


def _run_window(items: _Items, net: Net, device: torch.device, batch_size: int) -> list[FloatingArray]:
    """Results of some records, in their order."""
    totals: list[FloatingArray] = [np.zeros(0)] * len(items.records)
    samples = items.samples()
    sizes = [items.records[index].n_atoms for index, _ in items.numbers]
    pairs = sum(size**2 for size in sizes)
    for batch in cut(sizes, batch_size):
        padded = collate(list(islice(samples, batch.stop - batch.start)))
        with torch.inference_mode(), many_predicted(pairs):
            moved = {
                name: cast("torch.Tensor", value).to(device) for name, value in padded["net_input"].items()
            }
            outputs = net(cast("InputFields[torch.Tensor]", moved))
        for (index, conformer), output in zip(items.numbers[batch], outputs, strict=True):
            totals[index] = totals[index] + output if conformer else output
    return [total / count for total, count in zip(totals, items.conformers, strict=True)]
