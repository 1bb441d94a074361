"""Several processes compute what one does on the joined batch: values, and gradients of every weight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from moleblend_plugin.losses.structure import StructureLossConfig, structure_terms, weigh_structure
from moleblend_plugin.models.structure.network import StructureAware
from tests.viewed import SIZES, SMALL, VIEWS, batch_of, part_of, viewed

SIZE = 7
SHARES = {  # rows of each process, and whether they count
    "uneven": (((0, 1, 2, 3), True), ((4, 5, 6), True)),
    "one is only in step": ((tuple(range(SIZE)), True), ((2, 5), False)),
}
CHOICES = {"two Transformers": SIZES, "GIN": replace(SIZES, graph_encoder="gin", geometry_encoder="schnet")}
CONFIG = StructureLossConfig(balance_weight=0.1)


def gradients(choice: str, rows: tuple[int, ...], counted: bool | None) -> dict[str, torch.Tensor]:
    """Gradients of the mean objective times this process's molecules; running statistics; the objective."""
    torch.manual_seed(0)
    model = StructureAware(SMALL, CHOICES[choice], VIEWS).train()
    batch = part_of(batch_of(viewed([5, 8, 3, 7, 6, 9, 4], blank=[1, 4], flat=[5])), rows)
    output = model(views=batch["views"], counted=counted, **batch["net_input"])
    mean = weigh_structure(structure_terms(output, VIEWS, CONFIG).terms, CONFIG, 1.0)
    (mean * (0 if counted is False else len(rows))).backward()
    found = {name: weight.grad for name, weight in model.named_parameters()}
    assert all(gradient is not None for gradient in found.values())
    buffers = {name: value for name, value in model.named_buffers() if "running" in name}
    return found | buffers | {"objective": mean.detach(), "refined": output.refined.detach()}


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = {
        (choice, share): gradients(choice, *SHARES[share][rank]) for choice in CHOICES for share in SHARES
    }
    alone = gradients("GIN", (0, 1, 2), None)  # outside of an update nothing is exchanged
    torch.save((found, alone), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict, dict]]:
    """What two gloo processes found."""
    folder: Path = tmp_path_factory.mktemp("two")
    mp.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("choice", CHOICES)
def test_two_processes_have_the_gradients_of_one(
    done: list[tuple[dict[tuple[str, str], dict[str, object]], dict[str, Tensor]]], choice: str, share: str
) -> None:
    """The trainers add gradients over processes and divide by all molecules."""
    one = gradients(choice, tuple(range(SIZE)), None)
    first, second = (found[choice, share] for found, _ in done)
    for name, expected in one.items():
        if name in ("objective", "refined") or "running" in name:
            for theirs in (first[name], second[name]):
                torch.testing.assert_close(theirs, expected, rtol=1e-4, atol=1e-5)
        else:
            # Batch statistics of a few molecules magnify rounding: compare with the size of the whole tensor.
            error = (first[name] + second[name] - expected).norm()
            assert error <= 5e-3 * expected.norm() + 1e-5, name


def test_outside_of_an_update_a_process_is_alone(
    done: list[tuple[dict[tuple[str, str], dict[str, object]], dict[str, Tensor]]],
) -> None:
    expected = gradients("GIN", (0, 1, 2), None)
    for _, alone in done:
        torch.testing.assert_close(alone["refined"], expected["refined"])
