"""Products by oneDNN give what torch's give, whichever processor this is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.models.packed.places import Places
from moleblend_plugin.models.parts import products

ZEN_5 = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 26\nflags\t\t: fpu avx2 avx512f\n"


@pytest.fixture(autouse=True)
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor where it is quicker."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("torch was built without oneDNN")
    monkeypatch.setattr(products, "by_onednn", lambda: True)


@pytest.fixture
def multiplied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what oneDNN was given."""
    seen: list[tuple[int, ...]] = []
    plain: Callable[..., Tensor] = products._multiplied

    def noted(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        seen.append((*x.shape, len(weight)))
        return plain(x, weight, bias)

    monkeypatch.setattr(products, "_multiplied", noted)
    return seen


@pytest.mark.parametrize("outputs", [24, 80])
@pytest.mark.parametrize("shape", [(64, 48), (4, 16, 48)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_values_and_gradients(
    shape: tuple[int, ...], outputs: int, with_bias: bool, multiplied: list[tuple[int, ...]]
) -> None:
    x, weight = torch.randn(shape, requires_grad=True), torch.randn(outputs, 48, requires_grad=True)
    bias = torch.randn(outputs, requires_grad=True) if with_bias else None
    given = [part for part in (x, weight, bias) if part is not None]
    out, expected = products.linear(x, weight, bias), F.linear(x, weight, bias)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-4)
    towards = torch.randn_like(out)
    torch.testing.assert_close(
        torch.autograd.grad(out, given, towards),
        torch.autograd.grad(expected, given, towards),
        rtol=1e-5,
        atol=1e-4,
    )
    assert len(multiplied) == 3, "the product and both gradients"


@pytest.mark.parametrize(("molecules", "rows", "columns"), [(3, 4, 6), (0, 4, 6), (2, 1, 3)])
def test_products_of_molecules_with_a_bias(molecules: int, rows: int, columns: int) -> None:
    given = [torch.randn(3), torch.randn(molecules, rows, 5), torch.randn(molecules, columns, 5)]
    single = [part.clone().requires_grad_() for part in given]
    given = [part.double().requires_grad_() for part in given]

    def expected(bias: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("gmi,gni->gmn", a, b) + bias.repeat(columns // 3)

    torch.testing.assert_close(products.shifted_product(*given), expected(*given))
    towards = torch.randn(molecules, rows, columns)
    torch.testing.assert_close(
        torch.autograd.grad(products.shifted_product(*single), single, towards),
        torch.autograd.grad(expected(*single), single, towards),
        rtol=1e-5,
        atol=1e-5,
    )
    assert torch.autograd.gradcheck(products.shifted_product, given)
    assert torch.autograd.gradgradcheck(products.shifted_product, given)


def test_gradients_of_gradients() -> None:
    """As a loss on forces needs them."""
    x, weight = torch.randn(64, 48, requires_grad=True), torch.randn(24, 48, requires_grad=True)

    def second(product: Callable[..., Tensor]) -> Tensor:
        (slope,) = torch.autograd.grad(product(x, weight, None).tanh().sum(), x, create_graph=True)
        (found,) = torch.autograd.grad(slope.square().sum(), weight)
        return found

    torch.testing.assert_close(second(products.linear), second(F.linear), rtol=1e-4, atol=1e-4)


def test_frozen_weights_cost_no_product(multiplied: list[tuple[int, ...]]) -> None:
    x, weight = torch.randn(64, 48, requires_grad=True), torch.randn(24, 48)
    products.linear(x, weight, None).sum().backward()
    assert multiplied == [(64, 48, 24), (64, 24, 48)]


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        (torch.randn(64, 48).double(), torch.randn(24, 48).double()),
        (torch.randn(63, 48), torch.randn(24, 48)),  # a kernel for this size alone would take longer
        (torch.randn(0, 48), torch.randn(24, 48)),
        (torch.randn(48), torch.randn(24, 48)),
    ],
    ids=["double", "rare size", "none", "vector"],
)
def test_what_torch_multiplies(x: Tensor, weight: Tensor, multiplied: list[tuple[int, ...]]) -> None:
    assert torch.equal(products.linear(x, weight, None), F.linear(x, weight))
    assert not multiplied


def test_what_traces_torch_sees_torchs_product(multiplied: list[tuple[int, ...]]) -> None:
    layer, x = products.Linear(48, 24), torch.randn(64, 48)
    whole = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(whole(x), F.linear(x, layer.weight, layer.bias))
    traced = torch.jit.trace(layer, (x,), check_trace=False)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(traced(x), F.linear(x, layer.weight, layer.bias))
    slope = torch.func.grad(lambda weight: products.linear(x, weight).square().sum())(layer.weight)
    (expected,) = torch.autograd.grad(F.linear(x, layer.weight).square().sum(), layer.weight)
    torch.testing.assert_close(slope, expected)
    assert not multiplied


@pytest.mark.parametrize("outputs", [24, 80])
def test_matrices_that_are_part_of_others(outputs: int, multiplied: list[tuple[int, ...]]) -> None:
    """oneDNN takes hundreds of times as long for some of them; what it is given lies as it likes it."""
    x = torch.randn(64, 60)[:, :48].requires_grad_()
    weight = torch.randn(outputs, 60)[:, :48].requires_grad_()
    for reduced in (lambda y: y.sum(), lambda y: (y.mean(0) ** 2).sum()):
        found = torch.autograd.grad(reduced(products.linear(x, weight)), (x, weight))
        expected = torch.autograd.grad(reduced(F.linear(x, weight)), (x, weight))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert len(multiplied) == 6


def test_autocast_keeps_its_precision(multiplied: list[tuple[int, ...]]) -> None:
    layer = products.Linear(48, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(64, 48)).dtype == torch.bfloat16
    assert not multiplied


def test_a_layer_is_torchs_with_another_product(multiplied: list[tuple[int, ...]]) -> None:
    ours, theirs = products.Linear(48, 24), nn.Linear(48, 24)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(64, 48)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)
    assert len(multiplied) == 1


def test_numbers_of_rows_are_few_and_near() -> None:
    rounded = {rows: products.rounded_up(rows) for rows in range(1, 5000)}
    assert all(rows <= more <= max(rows + 31, rows * 9 / 8) for rows, more in rounded.items())
    assert len(set(rounded.values())) < 50


def test_rows_that_are_no_token_are_no_molecules() -> None:
    """What they hold changes no result and no gradient of others."""
    places = Places.of(torch.arange(12) < torch.tensor([[5], [12], [3]]))
    assert len(places.molecules) == 32 > len(places.padded) == 23
    assert places.range_of_tokens(0, 3) == (0, 32)
    assert places.range_of_tokens(0, 2) == (0, 19)
    assert places.range_of_tokens(3, 3) == (23, 23), "a thread without molecules has none of the rows"
    assert places.molecules[23:].unique().tolist() == [2]
    x = places.tokens(torch.randn(20, 8), torch.randn(8)).requires_grad_()
    (places.unpacked(x).square().sum()).backward()
    assert x.grad is not None
    assert not x.grad[23:].any()


@pytest.mark.parametrize(
    ("described", "wide"),
    [
        (ZEN_5, True),
        (ZEN_5.replace("family\t: 26", "family\t: 25"), False),
        (ZEN_5.replace(" avx512f", ""), False),
        (ZEN_5.replace("AuthenticAMD", "GenuineIntel"), False),
        (ZEN_5.replace("family\t: 26", "family\t: unknown"), False),
        ("", False),
    ],
)
def test_the_processor_decides(described: str, wide: bool) -> None:
    assert products.is_wide_amd(described) is wide
