"""Invariances of the pretraining network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.models.blend import moleblend
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.schema import PAIRS_SHOWN, Shown
from tests.invariants import (
    Run,
    assert_batch_equals_singles,
    assert_follows_atom_order,
    assert_turns_with_the_molecule,
    samples,
)

TINY = PRESETS["moleblend_tiny"]


def spread(model: MoleBlend) -> MoleBlend:
    """Larger weights than at initialisation, so that every input matters in the outputs."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "gaussians" not in name:
                parameter.normal_(0, 1.5 * parameter.shape[-1] ** -0.5, generator=generator)
    return model.eval()


def runner(model: MoleBlend) -> Run:
    @torch.no_grad()
    def run(net_input: dict[str, Tensor]) -> dict[str, Tensor]:
        predictions = model(**net_input)._asdict()
        return {name: output for name, output in predictions.items() if output is not None}

    return run


@pytest.fixture(scope="module", params=["distance", "direction"])
def run(request: pytest.FixtureRequest) -> Run:
    torch.manual_seed(0)
    return runner(spread(MoleBlend(replace(TINY, pair_target=request.param))))


def test_outputs_turn_with_the_molecule_or_stay(run: Run) -> None:
    net_input = collate(samples([9, 5, 14]))["net_input"]
    coords = net_input["coords"] + 0.0
    outputs = run(net_input)
    assert outputs["noise"].abs().max() > 1e-2  # something to turn
    moved = run(net_input | {"coords": coords * torch.tensor([1.0, 1.3, 0.7])})
    assert (moved["spd"] - outputs["spd"]).abs().max() > 1e-2  # coordinates matter at all
    # direction does not turn: the published head cannot (method 6.5); it stays, as its inputs do
    assert_turns_with_the_molecule(run, net_input, turning={"noise"})


def test_the_published_denoising_head_does_not_turn() -> None:
    """Why ours is the default: turning the input changes its output by as much as its size (method 6.5)."""
    torch.manual_seed(0)
    run = runner(spread(MoleBlend(replace(TINY, denoise_form="published"))))
    with pytest.raises(AssertionError, match="noise"):
        assert_turns_with_the_molecule(run, collate(samples([9, 5, 14]))["net_input"], turning={"noise"})


@pytest.mark.parametrize("size", [1, 2, 11])
def test_outputs_follow_the_order_of_atoms(run: Run, size: int) -> None:
    assert_follows_atom_order(run, samples([size])[0])


def test_batch_equals_singles(run: Run) -> None:
    assert_batch_equals_singles(run, samples([3, 1, 17, 8]))


def test_batch_with_and_without_3d_equals_singles(run: Run) -> None:
    flat = samples([6, 9], conformers=0)
    assert_batch_equals_singles(run, [*samples([3, 12]), *flat])


@pytest.mark.parametrize("conformers", [0, 1])
@pytest.mark.parametrize("sizes", [[1], [1, 1], [2, 1], [220]])
def test_unusual_molecules_give_finite_outputs(run: Run, sizes: list[int], conformers: int) -> None:
    outputs = run(collate(samples(sizes, conformers))["net_input"])
    for name, output in outputs.items():
        real = output[0, : sizes[0]]
        assert torch.isfinite(real).all(), name


def test_without_3d_coordinates_change_nothing(run: Run) -> None:
    net_input = collate(samples([7, 5], conformers=0))["net_input"]
    moved = net_input | {"coords": torch.randn_like(net_input["coords"])}
    for name in ("spd", "edge"):
        torch.testing.assert_close(run(net_input)[name], run(moved)[name])


@pytest.mark.parametrize("shown", [PAIRS_SHOWN["2d"], Shown.DISTANCE, Shown.SPD])
def test_a_relation_that_nobody_shows_is_left_out_and_changes_nothing(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs and every gradient, those of 0 included, as if it had been computed and masked."""
    model = MoleBlend(PRESETS["moleblend_tiny"]).eval()
    net_input = collate(samples((9, 6)))["net_input"]
    real_pairs, real_atoms = net_input["pair_shown"].ne(0), net_input["atom_shown"].ne(0)
    net_input |= {"pair_shown": real_pairs * int(shown), "atom_shown": real_atoms * int(shown)}
    found = []
    for _ in range(2):
        model.zero_grad()
        states = model.encode(**net_input).states
        states.square().sum().backward()
        found.append([states, *(weight.grad for weight in model.encoder.parameters())])
        found[-1] += [
            weight.grad for part in (model.bias, model.gaussians, model.atoms) for weight in part.parameters()
        ]
        monkeypatch.setattr(moleblend, "_unseen", lambda *_: False)
    for quick, full in zip(*found, strict=True):
        assert quick is not None
        torch.testing.assert_close(quick, full, rtol=1e-5, atol=1e-6)  # sums in another order


def test_evaluation_is_deterministic_and_training_is_not() -> None:
    """The model's only randomness is dropout; the blend comes with the batch (method 6.8)."""
    model = MoleBlend(TINY)
    net_input = collate(samples([9, 5]))["net_input"]
    torch.testing.assert_close(model.eval()(**net_input).spd, model(**net_input).spd, rtol=0, atol=0)
    model.train()
    assert (model(**net_input).spd != model(**net_input).spd).any()


def test_distance_classes_are_symmetric() -> None:
    torch.manual_seed(0)
    distance = runner(spread(MoleBlend(TINY)))(collate(samples([8]))["net_input"])["distance"]
    torch.testing.assert_close(distance, distance.transpose(1, 2))
    assert np.ptp(distance.numpy()) > 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_work_and_keep_geometry_exact(dtype: torch.dtype) -> None:
    """Uni-Core casts the whole model and leaves the inputs; distances must not lose digits (method 6.12)."""
    torch.manual_seed(0)
    model = MoleBlend(TINY).eval()
    net_input = collate(samples([9, 5, 1]))["net_input"] | {}
    exact = model(**net_input)
    seen: list[Tensor] = []
    half = MoleBlend(TINY).eval()
    half.load_state_dict(model.state_dict())
    half.to(dtype).gaussians.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    rough = half(**net_input)
    real = net_input["atom_codes"][..., 0] > 0
    pairs = real[:, :, None] & real[:, None]  # a hook brings the padded form: elsewhere both are arbitrary
    for name in ("spd", "distance"):
        given, expected = getattr(rough, name).float(), getattr(exact, name)
        torch.testing.assert_close(given[pairs], expected[pairs], rtol=0.1, atol=0.1)
    assert rough.noise.dtype == seen[0].dtype == torch.float32
    sum(output.float().square().mean() for output in rough if output is not None).backward()
    assert all(torch.isfinite(p.grad).all() for p in half.parameters() if p.grad is not None)


def test_autocast_keeps_the_losses_close() -> None:
    torch.manual_seed(0)
    model = MoleBlend(TINY).eval()
    net_input = collate(samples([9, 5, 1]))["net_input"]
    exact = model(**net_input)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(**net_input)
    torch.testing.assert_close(mixed.spd.float(), exact.spd, rtol=0.1, atol=0.1)
    torch.testing.assert_close(mixed.noise, exact.noise, rtol=0.1, atol=0.05)
