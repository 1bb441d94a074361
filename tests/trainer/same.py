"""Equality of nested states, to the last bit."""

from __future__ import annotations

from typing import Any

import torch


def assert_same(left: Any, right: Any, path: str = "") -> None:
    """Two nested states are equal to the last bit."""
    assert type(left) is type(right), path
    if isinstance(left, dict):
        assert list(left) == list(right), path
        for key in left:
            assert_same(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_same(one, other, f"{path}/{number}")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    else:
        assert left == right, path
