"""What must hold for any network of this package, as assertions that tests of other networks can reuse.

A network is given as ``run(net_input) -> {name: per-molecule outputs}``; outputs of pairs are [B, N, N, ...],
of atoms [B, N, ...]. Vectors are named in ``turning``: they must turn with the molecule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.data.samples.blend import BlendConfig, Sample, blend
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.schema import INPUT_FIELDS
from tests.molecules import make_record

Run = Callable[[dict[str, Tensor]], dict[str, Tensor]]
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def samples(sizes: Sequence[int], conformers: int = 1) -> list[Sample]:
    """Blended samples of made molecules."""
    return [
        blend(featurize(make_record(n, i, conformers=conformers)), BlendConfig(), 1, 1, i)
        | {"index": np.array(i)}
        for i, n in enumerate(sizes)
    ]


def turn(coords: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``coords`` turned and shifted, and the rotation [3, 3]."""
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    rotation = (rotation * torch.sign(torch.det(rotation))).float()
    return coords @ rotation.T + torch.tensor([3.0, -1.0, 2.0]), rotation


def assert_turns_with_the_molecule(run: Run, net_input: dict[str, Tensor], turning: Collection[str]) -> None:
    """Rotation and translation: scalars stay, vectors turn."""
    coords, rotation = turn(net_input["coords"])
    before, after = run(net_input), run(net_input | {"coords": coords})
    for name, output in before.items():
        expected = output @ rotation.T if name in turning else output
        torch.testing.assert_close(
            after[name], expected, **TOLERANCE, msg=lambda m, name=name: f"{name}: {m}"
        )


def assert_follows_atom_order(run: Run, sample: Sample) -> None:
    """Renumbering the atoms renumbers the outputs."""
    n = len(sample["atom_codes"])
    order = np.random.default_rng(0).permutation(n)
    moved = dict(sample)
    for name, field in INPUT_FIELDS.items():
        axes = [axis for axis, letter in enumerate(field.shape.split()[1:]) if letter == "N"]
        for axis in axes:
            moved[name] = np.take(moved[name], order, axis)
    before, after = (run(collate([s])["net_input"]) for s in (sample, moved))
    index = torch.from_numpy(order)
    for name, output in before.items():
        expected = output[:, index]
        if output.dim() > 3 and output.shape[1] == output.shape[2]:
            expected = expected[:, :, index]
        torch.testing.assert_close(
            after[name], expected, **TOLERANCE, msg=lambda m, name=name: f"{name}: {m}"
        )


def assert_batch_equals_singles(run: Run, parts: Sequence[Sample]) -> None:
    """Company and padding change nothing."""
    together = run(collate(parts)["net_input"])
    for row, part in enumerate(parts):
        n = len(part["atom_codes"])
        alone = run(collate([part])["net_input"])
        for name, output in alone.items():
            padded = together[name][row, :n]
            if output.dim() > 3 and output.shape[1] == output.shape[2]:
                padded = padded[:, :n]
            torch.testing.assert_close(
                padded, output[0], **TOLERANCE, msg=lambda m, name=name: f"{name}: {m}"
            )
