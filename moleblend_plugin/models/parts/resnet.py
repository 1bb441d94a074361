"""ResNet-18 (He et al., CVPR 2016) in plain torch, under torchvision's parameter names: its weights load.

R drawings, S pixels, W width of the first stage (64 in the paper).
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.models.parts.across_processes import Exchange
from moleblend_plugin.models.parts.batch_norm import SharedBatchNorm

_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
"""Of ImageNet's colours: what torchvision's weights expect."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, projected where shape changes."""

    def __init__(self, inside: int, outside: int, stride: int, exchange: Exchange) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = SharedBatchNorm(outside, exchange)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = SharedBatchNorm(outside, exchange)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inside != outside:
            project = nn.Conv2d(inside, outside, 1, stride, bias=False)
            self.downsample = nn.Sequential(project, SharedBatchNorm(outside, exchange))

    def forward(self, x: Tensor) -> Tensor:
        """[R, outside, S / stride, S / stride] from [R, inside, S, S]."""
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(branch + self.downsample(x))


class ResNet18(nn.Module):
    """Drawings to features: global average pooling, no classifier.

    Args:
        width: W.
        exchange: the network's, for batch statistics.
    """

    def __init__(self, width: int, exchange: Exchange) -> None:
        super().__init__()
        self.outputs = 8 * width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = SharedBatchNorm(width, exchange)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for stage in range(1, 5):
            inside, outside = widths[stage - 1], widths[stage]
            first = BasicBlock(inside, outside, 1 if stage == 1 else 2, exchange)
            setattr(self, f"layer{stage}", nn.Sequential(first, BasicBlock(outside, outside, 1, exchange)))
        self.register_buffer("_mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(_STD).view(3, 1, 1), persistent=False)
        self._mean: Tensor
        self._std: Tensor
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """[R, 8 W] from colours 0 to 1, fp32 [R, 3, S, S]."""
        x = ((image - self._mean.float()) / self._std.float()).to(self.conv1.weight.dtype)
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        pooled: Tensor = x.mean((2, 3))
        return pooled


def load_image_weights(network: ResNet18, path: str) -> None:
    """Take over torchvision's ResNet-18 weights (a state dict; its classifier ``fc`` is left out).

    Raises:
        MoleblendError: no such file, or not the weights of this network.
    """
    state = _read(Path(path))
    weights = {name: value for name, value in state.items() if not name.startswith("fc.")}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).splitlines()[1:2]).strip()
        raise MoleblendError(
            f"--image-weights {path} does not fit ({reason}): give a state dict of torchvision's "
            "resnet18, and --image-width 64"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MoleblendError(
            f"--image-weights {path}: no such file; give a state dict of torchvision's resnet18"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, OSError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise MoleblendError(
            f"--image-weights {path} cannot be read ({reason}): save it with torch.save"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise MoleblendError(f"--image-weights {path} is not a state dict: save resnet18().state_dict()")
    return state
