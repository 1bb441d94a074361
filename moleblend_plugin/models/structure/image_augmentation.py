"""Changes of drawings that leave the molecule what it is, for a whole batch on its device.

R drawings of S x S pixels, colours from 0 to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_GREY = (0.299, 0.587, 0.114)
_TO_YIQ = (_GREY, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
_USUAL_PIXELS = 224
"""Blur is given in pixels of drawings of this size."""


def colours(image: Tensor) -> Tensor:
    """Fp32 [R, 3, S, S] from uint8."""
    return image.float() / 255


def change_drawings(image: Tensor, changes: Tensor) -> Tensor:
    """Colours, then rotation, then blur.

    Args:
        image: uint8 [R, 3, S, S].
        changes: fp32 [R, 6], columns of ``schema.IMAGE_CHANGES``; a row of zeros changes nothing.

    Returns:
        Fp32 [R, 3, S, S].
    """
    brightness, contrast, saturation, hue, turn, sigma = changes.float().unbind(1)
    with torch.autocast(image.device.type, enabled=False):
        pixels = jitter(colours(image), brightness, contrast, saturation, hue)
        return blur(rotate(pixels, turn), sigma)


def grey(pixels: Tensor) -> Tensor:
    """Luminance [R, 1, S, S] of colours [R, 3, S, S]."""
    return (pixels * pixels.new_tensor(_GREY)[:, None, None]).sum(1, keepdim=True)


def jitter(pixels: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Factors of 1 + each [R] (saturation -1 is grey), and hue turned by a share of the colour circle."""

    def factor(change: Tensor) -> Tensor:
        return 1 + change[:, None, None, None]

    pixels = (pixels * factor(brightness)).clamp(0, 1)
    mean = grey(pixels).mean((2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * factor(contrast)
    luminance = grey(pixels)
    pixels = luminance + (pixels - luminance) * factor(saturation)
    to_yiq = pixels.new_tensor(_TO_YIQ)
    turn = torch.eye(3, device=pixels.device).repeat(len(hue), 1, 1)
    turn[:, 1:, 1:] = _rotation(2 * math.pi * hue)
    mix = torch.linalg.inv(to_yiq) @ turn @ to_yiq  # [R, 3, 3]
    changed: Tensor = (mix @ pixels.flatten(2)).view_as(pixels).clamp(0, 1)
    return changed


def rotate(pixels: Tensor, angle: Tensor) -> Tensor:
    """Turn about the centre by ``angle`` [R] (radians); what comes in from outside is white."""
    size = pixels.shape[-1]
    places = (torch.arange(size, device=pixels.device) * 2 + 1) / size - 1  # centres of pixels, -1 to 1
    y, x = torch.meshgrid(places, places, indexing="ij")
    sources = torch.stack((x, y), -1).view(1, -1, 2) @ _rotation(angle).transpose(1, 2)  # [R, S * S, 2]
    grid = sources.view(len(angle), size, size, 2)
    return 1 - F.grid_sample(1 - pixels, grid, align_corners=False)  # outside is 0: not dark


def blur(pixels: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur by ``sigma`` [R]; a matrix per drawing mixes its rows, then its columns."""
    size = pixels.shape[-1]
    width = (sigma * size / _USUAL_PIXELS).clamp(min=1e-3)[:, None, None]  # 1e-3 blurs nothing
    place = torch.arange(size, device=pixels.device)
    mix = torch.exp(-0.5 * ((place[:, None] - place) / width).square())  # [R, S, S]
    mix = (mix / mix.sum(2, keepdim=True))[:, None]
    return mix @ pixels @ mix.transpose(2, 3)


def _rotation(angle: Tensor) -> Tensor:
    """[R, 2, 2] of radians [R]."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((cos, -sin, sin, cos), -1).view(-1, 2, 2)
