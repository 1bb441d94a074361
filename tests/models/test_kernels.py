"""What is chosen by device: in two files, and by what can be seen of a tensor."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from moleblend_plugin.models.parts import kernels

MODELS = Path(kernels.__file__).parents[1]
ASKS = re.compile(r"\.type\s*(?:==|!=|in\b)|\bis_cuda\b|\bis_cpu\b")


def test_only_two_files_ask_for_the_device() -> None:
    asking = {path.name for path in MODELS.rglob("*.py") if ASKS.search(path.read_text(encoding="utf-8"))}
    assert asking == {"kernels.py", "products.py"}


def test_values_are_at_hand_on_a_cpu_alone() -> None:
    here, elsewhere = torch.zeros(2), torch.zeros(2, device="meta")
    assert kernels.on_cpu(here, here)
    assert not kernels.on_cpu(here, elsewhere)


def test_attention_is_written_out_for_training_on_a_cpu_alone() -> None:
    """Its result names the function that its gradient comes from."""
    qkv, bias = torch.randn(2, 5, 24, requires_grad=True), torch.randn(2, 2, 5, 5)
    with torch.no_grad():
        predicted = kernels.attention(qkv, bias, 2, 0.0)
    trained = kernels.attention(qkv, bias, 2, 0.0)
    assert "OwnGradients" in type(trained.grad_fn).__name__
    torch.testing.assert_close(trained, predicted)


def test_a_bias_stays_in_fp32_on_a_cpu_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert kernels.product_dtype(torch.zeros(2)) == torch.float32
