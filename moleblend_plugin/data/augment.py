"""Random changes of a drawing that leave the molecule what it is. No mirror image: that is another molecule.

Colours, rotation with white corners and blur as in CGIP (spec: MMSA-style, reconstructed). S pixels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from moleblend_plugin.schema import UInt8Array

_GREY = torch.tensor([0.299, 0.587, 0.114])
_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def augment(image: UInt8Array, draw: np.random.Generator, largest_turn: float = math.pi) -> UInt8Array:
    """A changed copy of a drawing.

    Args:
        image: uint8 [3, S, S].
        draw: all that is random comes from it.
        largest_turn: either way, in radians.
    """
    pixels = torch.from_numpy(image).float() / 255
    if draw.random() < 0.8:
        pixels = jitter(pixels, *(draw.uniform(-1, 1, 4) * (0.4, 0.4, 0.4, 0.1)).tolist())
    if draw.random() < 0.2:
        pixels = grey(pixels).expand(3, -1, -1)
    pixels = rotate(pixels, draw.uniform(-largest_turn, largest_turn))
    if draw.random() < 0.5:
        pixels = blur(pixels, draw.uniform(0.1, 2.0))
    changed: UInt8Array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return changed


def grey(pixels: Tensor) -> Tensor:
    """Luminance [1, S, S] of colours [3, S, S]."""
    luminance: Tensor = torch.tensordot(_GREY, pixels, 1)
    return luminance[None]


def jitter(pixels: Tensor, brightness: float, contrast: float, saturation: float, hue: float) -> Tensor:
    """Change colours [3, S, S]: factors of 1 + each, and hue turned by a share of the colour circle."""
    pixels = (pixels * (1 + brightness)).clamp(0, 1)
    mean = grey(pixels).mean()
    pixels = (mean + (pixels - mean) * (1 + contrast)).clamp(0, 1)
    pixels = grey(pixels) + (pixels - grey(pixels)) * (1 + saturation)
    cos, sin = math.cos(2 * math.pi * hue), math.sin(2 * math.pi * hue)
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
    turned: Tensor = torch.tensordot(torch.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ, pixels, 1)
    return turned.clamp(0, 1)


def rotate(pixels: Tensor, angle: float) -> Tensor:
    """Turn [3, S, S] about its centre by ``angle`` (radians); what comes in from outside is white."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])
    grid = F.affine_grid(turn, [1, *pixels.shape], align_corners=False)
    dark = F.grid_sample(1 - pixels[None], grid, align_corners=False)  # outside is 0: not dark
    return 1 - dark[0]


def blur(pixels: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [3, S, S], ``sigma`` in pixels of a drawing of 224 (less on smaller ones)."""
    sigma = sigma * pixels.shape[-1] / 224
    reach = max(1, math.ceil(3 * sigma))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (steps / sigma).square())
    weights = weights / weights.sum()
    padded = F.pad(pixels[:, None], (reach,) * 4, mode="replicate")  # [3, 1, S + 2 reach, S + 2 reach]
    rows = F.conv2d(padded, weights.view(1, 1, -1, 1))
    return F.conv2d(rows, weights.view(1, 1, 1, -1))[:, 0]
