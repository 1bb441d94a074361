"""Residuals, norms and GELU in compiled loops give what torch gives; gradients see the same draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.models.packed import places as places_module
from moleblend_plugin.models.packed.places import Places
from moleblend_plugin.models.packed.tokens import add_and_norm, gelu_linear
from moleblend_plugin.models.parts import kernels

WIDTH = 24
EPSILON = 1e-5


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread and two, which share even a small batch."""
    monkeypatch.setattr(places_module, "_WORTH", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def of_molecules(*atoms: int) -> Places:
    real = torch.zeros(len(atoms), max(atoms), dtype=torch.bool)
    for molecule, count in enumerate(atoms):
        real[molecule, :count] = True
    return Places.of(real)


PLACES = of_molecules(5, 1, 12, 3)
TOKENS = len(PLACES.molecules)


def given(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(3)
    return [(2 * torch.randn(shape)).requires_grad_() for shape in shapes]


def gradients(function: Callable[..., Tensor], inputs: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Of a sum with fixed weights."""
    out = function(*inputs)
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return out.detach(), torch.autograd.grad(out, inputs, weights)


def assert_same(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], inputs: list[Tensor]) -> None:
    (out, grads), (expected, wanted) = gradients(ours, inputs), gradients(theirs, inputs)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grads, wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.usefixtures("threads")
def test_residual_and_norm() -> None:
    inputs = given((TOKENS, WIDTH), (TOKENS, WIDTH), (WIDTH,), (WIDTH,))
    assert_same(
        lambda x, branch, weight, shift: add_and_norm(x, branch, weight, shift, EPSILON, 0.0, PLACES),
        lambda x, branch, weight, shift: F.layer_norm(x + branch, (WIDTH,), weight, shift, EPSILON),
        inputs,
    )


@pytest.mark.usefixtures("threads")
def test_gelu_and_the_product_after_it() -> None:
    inputs = given((TOKENS, WIDTH), (16, WIDTH), (16,))
    inputs[0].data.view(-1)[:6] = torch.tensor([0.0, -0.0, 12.0, -12.0, 40.0, -40.0])
    assert_same(
        lambda x, weight, shift: gelu_linear(x, weight, shift, 0.0, PLACES),
        lambda x, weight, shift: F.linear(F.gelu(x), weight, shift),
        inputs,
    )


@pytest.mark.usefixtures("threads")
def test_dropout_of_gelu_keeps_what_its_gradients_keep() -> None:
    rate, width = 0.25, 128
    x, weight, shift = given((TOKENS, width), (width, width), (width,))
    weight.data /= width**0.5  # processors differ in the order of long sums

    def drawn(x: Tensor, weight: Tensor, shift: Tensor) -> Tensor:
        torch.manual_seed(1)
        return gelu_linear(x, weight, shift, rate, PLACES)

    kept = drawn(torch.full_like(x, 3.0), torch.eye(width), torch.zeros(width)) != 0
    assert abs(float(kept.float().mean()) - (1 - rate)) < 5 * (rate * (1 - rate) / kept.numel()) ** 0.5
    assert_same(
        drawn,
        lambda x, weight, shift: F.linear(F.gelu(x) * kept / (1 - rate), weight, shift),
        [x, weight, shift],
    )
    other = gelu_linear(torch.full_like(x, 3.0), torch.eye(width), torch.zeros(width), rate, PLACES)
    assert not torch.equal(other != 0, kept)


@pytest.mark.usefixtures("threads")
def test_dropout_before_a_norm() -> None:
    rate = 0.4
    x, branch, weight, shift = given((TOKENS, WIDTH), (TOKENS, WIDTH), (WIDTH,), (WIDTH,))

    def ours(x: Tensor, branch: Tensor, weight: Tensor, shift: Tensor) -> Tensor:
        torch.manual_seed(2)
        return add_and_norm(x, branch, weight, shift, EPSILON, rate, PLACES)

    large = [torch.zeros_like(x), torch.full_like(branch, 3.0), torch.ones(WIDTH), torch.zeros(WIDTH)]
    kept = ours(*large) > 0  # of equal numbers in a row those that are dropped fall below the mean
    assert 0.4 < float(kept.float().mean()) < 0.8
    assert_same(
        ours,
        lambda x, branch, weight, shift: F.layer_norm(
            x + branch * kept / (1 - rate), (WIDTH,), weight, shift, EPSILON
        ),
        [x, branch, weight, shift],
    )


def test_a_frozen_product_has_no_gradient_and_passes_one_on() -> None:
    x, weight, shift = given((TOKENS, WIDTH), (16, WIDTH), (16,))
    still = weight.detach(), shift.detach()
    (found,) = torch.autograd.grad(gelu_linear(x, *still, 0.0, PLACES).sum(), x)
    (expected,) = torch.autograd.grad(F.linear(F.gelu(x), *still).sum(), x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_other_numbers_take_the_form_of_torch(rate: float) -> None:
    norm, linear = nn.LayerNorm(12), nn.Linear(12, 8)  # no whole vectors
    x, branch = given((TOKENS, 12), (TOKENS, 12))
    torch.manual_seed(4)
    found = kernels.add_and_norm(x, branch, norm, rate, PLACES), kernels.gelu_linear(x, linear, rate, PLACES)
    torch.manual_seed(4)
    expected = kernels.add_and_norm(x, branch, norm, rate, None), kernels.gelu_linear(x, linear, rate, None)
    assert all(map(torch.equal, found, expected))
    half, wide = nn.Linear(WIDTH, 8).bfloat16(), torch.randn(TOKENS, WIDTH).bfloat16()
    assert torch.equal(kernels.gelu_linear(wide, half, 0.0, PLACES), half(F.gelu(wide)))
