"""Batch normalisation over the batch of all processes (torch's own needs a GPU for that).

R rows of this process (0 is fine), C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moleblend_plugin.models.parts.across_processes import Exchange


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Torch's batch normalisation of [R, C, ...], with the same names, whose statistics cover all processes.

    Args:
        channels: C.
        exchange: the network's.
    """

    def __init__(self, channels: int, exchange: Exchange) -> None:
        super().__init__(channels)
        self.exchange = exchange

    def forward(self, input: Tensor) -> Tensor:
        """The same shape; statistics in fp32."""
        many = input.numel() > input.shape[1]
        if not self.training or (many and not self.exchange.active):
            return super().forward(input)
        return self._over_processes(input)

    def _over_processes(self, input: Tensor) -> Tensor:
        over = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        with torch.autocast(input.device.type, enabled=False):
            values = input.float()
            own = values.new_tensor([values.numel() // values.shape[1]])
            sums = self.exchange.sum(torch.cat((values.sum(over), own)))
            count = sums[-1].detach().clamp(min=1)
            mean = sums[:-1] / count
            centred = values - mean.view(shape)
            variance = self.exchange.sum(centred.square().sum(over)) / count
            self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
            scale = self.weight.float() * torch.rsqrt(variance + self.eps)
            return (centred * scale.view(shape) + self.bias.float().view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        for buffer, value in ((self.running_mean, mean), (self.running_var, variance)):
            assert buffer is not None
            buffer.lerp_(value.to(buffer), self.momentum or 0.0)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected [R, C, ...], got {tuple(input.shape)}")
