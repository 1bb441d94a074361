"""A whole plugin in one file, for tests of the trainer: learn y = sum(x) from noisy vectors.

``data`` is the number of training samples; half as many validate. Noise follows from (seed, epoch, index).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from moleblend_plugin.host import (
    BaseDataset,
    BaseLoss,
    BaseModel,
    BaseTask,
    log_derived,
    log_scalar,
    register_loss,
    register_model,
    register_model_architecture,
    register_task,
)

FEATURES = 6


class ToyDataset(BaseDataset):
    def __init__(self, count: Any, args: Any, offset: int = 0) -> None:
        super().__init__()
        self.count, self.args, self.offset, self.epoch = count, args, offset, 1

    def __len__(self) -> Any:
        return self.count

    def set_epoch(self, epoch: Any) -> None:
        self.epoch = epoch

    @property
    def can_reuse_epoch_itr_across_epochs(self) -> Any:
        return not self.args.toy_reorder

    def ordered_indices(self) -> Any:
        if not self.args.toy_reorder:
            return super().ordered_indices()
        return np.random.default_rng((self.args.seed, self.epoch)).permutation(self.count).astype(np.int64)

    def __getitem__(self, index: Any) -> Any:
        index = int(index)
        clean = np.random.default_rng((7, index + self.offset)).normal(size=FEATURES)
        noise = np.random.default_rng((self.args.seed, self.epoch, index)).normal(size=FEATURES)
        if index == self.args.toy_nan_index and not self.offset:
            clean[0] = np.nan
        return {"x": clean + 0.1 * noise, "y": clean.sum(), "index": index}

    def row_ids(self, indices: Any) -> Any:
        return [f"toy.csv:{index + 100}" for index in indices]

    def collater(self, samples: Any) -> Any:
        if not samples:
            return {}
        x = torch.tensor(np.stack([sample["x"] for sample in samples]), dtype=torch.float32)
        y = torch.tensor([sample["y"] for sample in samples], dtype=torch.float32)
        index = torch.tensor([sample["index"] for sample in samples])
        return {"net_input": {"x": x}, "target": {"y": y}, "index": index}


@register_task("toy")
class ToyTask(BaseTask):
    @classmethod
    def add_args(cls, parser: Any) -> None:
        parser.add_argument("data", help="number of training samples")
        parser.add_argument("--toy-reorder", action="store_true")
        parser.add_argument("--toy-nan-index", type=int, default=-1)

    def load_dataset(self, split: Any, combine: bool = False, **kwargs: Any) -> None:
        total = int(self.args.data)
        count = total if split == "train" else total // 2
        self.datasets[split] = ToyDataset(count, self.args, 0 if split == "train" else 100_000)


@register_model("toy_mlp")
class ToyModel(BaseModel):
    def __init__(self, width: Any, dropout: Any, memory: Any = 10**9) -> None:
        super().__init__()
        self.inside = nn.Linear(FEATURES, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.outside = nn.Linear(width, 1)
        self.updates_heard = 0
        self.memory = memory

    @classmethod
    def add_args(cls, parser: Any) -> None:
        parser.add_argument("--toy-width", type=int, help="neurons")
        parser.add_argument("--toy-dropout", type=float, help="share of neurons")
        parser.add_argument("--toy-memory", type=int, help="samples that fit into memory in training")

    @classmethod
    def build_model(cls, args: Any, task: Any) -> Any:
        return cls(args.toy_width, args.toy_dropout, args.toy_memory)

    def forward(self, x: Any) -> Any:
        if self.training and len(x) > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        hidden = self.dropout(torch.tanh(self.norm(self.inside(x))))
        return self.outside(hidden).squeeze(-1)


@register_model_architecture("toy_mlp", "toy_small")
def toy_small(args: Any) -> None:
    args.toy_width = getattr(args, "toy_width", 8)
    args.toy_dropout = getattr(args, "toy_dropout", 0.0)
    args.toy_memory = getattr(args, "toy_memory", 10**9)


@register_loss("toy_mse")
class ToyLoss(BaseLoss):
    def __init__(self, task: Any, toy_scale: Any) -> None:
        super().__init__(task)
        self.scale = toy_scale

    @classmethod
    def add_args(cls, parser: Any) -> None:
        parser.add_argument("--toy-scale", type=float, default=1.0)

    def forward(self, model: Any, sample: Any, reduce: bool = True) -> Any:
        error = model(**sample["net_input"]) - sample["target"]["y"]
        loss = self.scale * error.square().sum()
        size = len(error)
        absolute = error.detach().abs().sum()
        return loss, size, {"loss": loss.detach(), "abs": absolute, "bsz": size, "sample_size": size}

    @staticmethod
    def reduce_metrics(logging_outputs: Any, split: str = "train") -> None:
        size = sum(output["sample_size"] for output in logging_outputs)
        for key in ("loss", "abs"):
            log_scalar(key, sum(output[key] for output in logging_outputs) / size, size, round=8)
        log_derived("rmse", lambda meters: float(meters["loss"].avg) ** 0.5)

    @staticmethod
    def logging_outputs_can_be_summed(is_train: Any) -> Any:
        return True
