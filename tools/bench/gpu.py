"""A training step on a GPU: python tools/bench/gpu.py MOLECULES [--only attention step run].

The published size in bf16. The floor comes first: operations over the measured rate of products, and what is
kept for the gradients, written and read once, over the measured rate of copies. ``run`` trains by the
embedded trainer, with its loader. Times are medians of CUDA events; close other programs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from data import write
from measure import Figure, Table, Timing, finish, molecules, settings
from step import HEADS
from torch.utils.flop_counter import FlopCounterMode

from moleblend_plugin.data.batches.collate import collate
from moleblend_plugin.data.samples.blend import BlendConfig, blend
from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.losses.pretrain import PretrainLossConfig, pretrain_objective
from moleblend_plugin.models.blend.config import PRESETS
from moleblend_plugin.models.blend.moleblend import MoleBlend
from moleblend_plugin.models.parts import kernels

HALF = torch.bfloat16
PARTS = ("attention", "step", "run")
SIZES = {"PCQM4Mv2-like": 1024, "drug-like, 32": 512}
"""Molecules of a batch: the first 32 of a file, again and again, blended differently."""
RUN_UPDATES, RUN_MOLECULES, RUN_WORKERS = 160, 81_920, 6


def milliseconds(work: Callable[[], object], repeats: int) -> Timing:
    """Time of ``work`` on the device, after five calls that do not count."""
    for _ in range(5):
        work()
    taken = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        taken.append(begin.elapsed_time(end))
    return Timing(tuple(taken), "wall")


def ceilings(repeats: int) -> tuple[float, float]:
    """FLOP/s of a large product in bf16, and bytes/s of a large copy, read and written."""
    left, right = (torch.randn(8192, 8192, device="cuda", dtype=HALF) for _ in range(2))
    product = milliseconds(lambda: left @ right, repeats).median
    source = torch.randint(0, 255, (1 << 31,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copy = milliseconds(lambda: target.copy_(source), repeats).median
    return 2 * 8192**3 / product * 1e3, 2 * source.numel() / copy * 1e3


def batch_of(folder: Path, which: str) -> dict[str, dict[str, torch.Tensor]]:
    """A batch on the device."""
    records = molecules(folder, which)
    samples = [
        blend(featurize(records[row % len(records)]), BlendConfig(), 1, 1, row) | {"index": row}
        for row in range(SIZES[which])
    ]
    parts = collate(samples)
    return {
        part: {name: values.cuda() for name, values in parts[part].items()}
        for part in ("net_input", "target")
    }


class Step:
    """Forward, four losses, backward of one batch."""

    def __init__(self, folder: Path, which: str, heads: str, compiled: bool) -> None:
        torch.manual_seed(1)
        self.config = replace(PRESETS["moleblend_base"], **HEADS[heads])
        self.model = MoleBlend(self.config).cuda().train()
        if compiled:
            torch._dynamo.reset()
            self.model.compile(dynamic=True)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.batch = batch_of(folder, which)

    def forward(self) -> torch.Tensor:
        """The loss."""
        with torch.autocast("cuda", HALF):
            predictions = self.model(**self.batch["net_input"])
            return pretrain_objective(
                predictions,
                self.batch["net_input"],
                self.batch["target"],
                PretrainLossConfig(),
                self.config.distance_max,
            ).total

    def __call__(self) -> None:
        """One step."""
        self.model.zero_grad(set_to_none=True)
        self.forward().backward()

    def operations(self) -> int:
        """Of the matrix products of a step; torch counts those of its own attention only."""
        with (
            patch.object(kernels, "HAS_TRITON", False),
            FlopCounterMode(display=False) as counter,
        ):
            self()
        return int(counter.get_total_flops())

    def kept(self) -> int:
        """Bytes that the forward pass keeps for the backward pass, each block of memory once."""
        blocks: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            blocks[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # the tensor itself would hold the graph, and the graph it

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            total = self.forward()
        del total
        return sum(blocks.values())


CASES = (
    ("PCQM4Mv2-like", "ours", False),
    ("PCQM4Mv2-like", "published", False),
    ("PCQM4Mv2-like", "checkpointed", False),
    ("drug-like, 32", "ours", False),
    ("PCQM4Mv2-like", "ours", True),
)
"""Molecules, heads, compiled."""


def one_step(
    folder: Path, which: str, heads: str, compiled: bool, repeats: int, peaks: tuple[float, float]
) -> list[Figure]:
    """Rows of one case; operations and what is kept are counted on the plain network."""
    plain = Step(folder, which, heads, compiled=False)
    operations, kept = plain.operations(), plain.kept()
    step = Step(folder, which, heads, compiled) if compiled else plain
    step()
    del plain
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    timing = milliseconds(step, repeats)
    memory = torch.cuda.max_memory_allocated() / 1e9
    update = milliseconds(step.optimizer.step, repeats)
    count = SIZES[which]
    name = f"{which}, {count}, {heads} heads{', compiled' if compiled else ''}"
    rate = count / (timing.median + update.median) * 1e3
    by_operations, by_memory = operations / peaks[0] * 1e3, 2 * kept / peaks[1] * 1e3
    behind = f"{timing.median / max(by_operations, by_memory):.1f} times the higher floor"
    return [
        Figure(f"{name}: step", timing.median, "ms", f"median of {repeats}; {behind}", timing.spread),
        Figure(f"{name}: rate", rate, "molecules/s", f"with AdamW, {update.median:.2f} ms"),
        Figure(f"{name}: memory", memory, "GB", "most allocated at once"),
        Figure(f"{name}: floor, operations", by_operations, "ms", f"{operations / 1e12:.2f} TFLOP"),
        Figure(f"{name}: floor, memory", by_memory, "ms", f"{kept / 1e9:.2f} GB kept without compiling"),
        Figure(f"{name}: share of peak", by_operations / timing.median, ""),
    ]


def attention_figures(repeats: int) -> list[Figure]:
    """One layer's attention, forward and backward, by our kernel and by torch's."""
    ways: dict[str, Callable[..., Any]] = {
        "ours": kernels.attention_on_gpu,
        "torch": kernels.attention_of_torch,
    }
    rows = []
    for tokens, count in ((21, 1024), (35, 512)):
        for name, attend in ways.items():
            timing = one_attention(attend, tokens, count, repeats)
            how = f"{count} molecules, 32 heads of 24, dropout 0.1, forward and backward"
            what = f"attention, {tokens} tokens, {name}"
            rows.append(Figure(what, timing.median, "ms", how, timing.spread))
    return rows


def one_attention(attend: Callable[..., Any], tokens: int, count: int, repeats: int) -> Timing:
    """Forward and backward on random numbers."""
    qkv = torch.randn(count, tokens, 3 * 768, device="cuda", dtype=HALF, requires_grad=True)
    bias = torch.randn(count, 32, tokens, tokens, device="cuda", dtype=HALF, requires_grad=True)
    grad = torch.randn(count, tokens, 768, device="cuda", dtype=HALF)

    def work() -> None:
        qkv.grad = bias.grad = None
        attend(qkv, bias, 32, 0.1).backward(grad)

    return milliseconds(work, repeats)


def run_figures(folder: Path) -> list[Figure]:
    """Molecules/s of a run by the embedded trainer, and how busy its device is."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        records = molecules(folder, "PCQM4Mv2-like")
        for split, count in (("train", RUN_MOLECULES), ("valid", 1024)):
            write(Path(scratch) / f"{split}.lmdb", records, count)
        for compiled in (False, True):
            rate, busy = trained(Path(scratch), compiled)
            name, how = f"run{', compiled' if compiled else ''}", f"{RUN_WORKERS} workers, 1,024 by size"
            rows.append(Figure(f"{name}: rate", rate, "molecules/s", how))
            how = "nvidia-smi, median of samples in the second half"
            rows.append(Figure(f"{name}: device busy", busy, "", how, target=0.95))
    return rows


def trained(folder: Path, compiled: bool) -> tuple[float, float]:
    """Median molecules/s over log intervals, the first five left out, and share of time with a kernel."""
    out = folder / f"run{compiled}"
    flags = (
        "--task moleblend_pretrain --loss moleblend_pretrain --arch moleblend_base --bf16 --batch-size 1024 "
        "--optimizer adam --lr 2e-4 --lr-scheduler polynomial_decay --warmup-updates 20 --clip-norm 1 "
        f"--total-num-update {RUN_UPDATES} --max-update {RUN_UPDATES} --num-workers {RUN_WORKERS} "
        "--no-epoch-checkpoints --disable-validation --log-interval 10 --seed 1"
    )
    command = [sys.executable, "-m", "moleblend_plugin.trainer.main", str(folder), *flags.split()]
    command += ["--save-dir", str(out), *(["--compile"] if compiled else [])]
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    with (out.with_suffix(".busy")).open("w+", encoding="utf-8") as samples:
        watch = subprocess.Popen(query, stdout=samples)
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        finally:
            watch.terminate()
            watch.wait()
        samples.seek(0)
        busy = [float(line) for line in samples.read().split()]
    lines = (out / "train.jsonl").read_text(encoding="utf-8").splitlines()
    speeds = [event["ups"] for event in map(json.loads, lines) if event["event"] == "train_inner"]
    ahead = [share for share in busy if share > 0]
    return 1024 * statistics.median(speeds[5:]), statistics.median(ahead[len(ahead) // 2 :]) / 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: no GPU is seen here")
    peaks = ceilings(args.repeats)
    title = f"{torch.cuda.get_device_name()}, bf16, published size"
    table = Table(title)
    table.add(Figure("product, 8192 x 8192 x 8192", peaks[0] / 1e12, "TFLOP/s", f"median of {args.repeats}"))
    table.add(Figure("copy, 2 GiB", peaks[1] / 1e12, "TB/s", "read and written"))
    if "attention" in args.only:
        for row in attention_figures(args.repeats):
            table.add(row)
    for which, heads, compiled in CASES if "step" in args.only else ():
        for row in one_step(args.molecules, which, heads, compiled, args.repeats, peaks):
            table.add(row)
    if "run" in args.only:
        for row in run_figures(args.molecules):
            table.add(row)
    finish([table], len(os.sched_getaffinity(0)), args.out)


if __name__ == "__main__":
    main()
