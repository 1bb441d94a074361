"""One training step (forward, four losses, backward): python tools/bench/step.py MOLECULES [--threads 2].

Published size, in fp32 and bf16, with the published heads and with ours; and with ours in fp32 under
--checkpoint-activations. Every case runs in a process of its own, for its peak memory. One thread is measured
in CPU time, several in wall time: close other programs.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import Clock, Figure, Table, finish, molecules, settings, timed

BATCHES = {"small": "PCQM4Mv2-like", "drug": "drug-like, 32"}
OURS = {"pair_target": "distance", "denoise_form": "equivariant"}
HEADS = {
    "published": {"pair_target": "direction", "denoise_form": "published"},
    "ours": OURS,
    "checkpointed": OURS | {"checkpoint_activations": True},
}
SECONDS = {("drug", 1): 7.83, ("drug", 2): 4.51, ("small", 1): 3.59, ("small", 2): 1.92}
"""Published code, fp32, by batch and threads."""
GIGABYTES = {"drug": 2.8, "small": 1.8}
GFLOP = {"drug": 399.0, "small": 214.0}
FASTER = {"fp32": 1.7, "bf16": 3.0}
SHARE = 0.85


def _of_products() -> dict[Any, Callable[..., int]]:
    """How many operations a product by oneDNN is, which torch's counter does not know."""
    import torch

    def count(x: list[int], weight: list[int], *_: object, **__: object) -> int:
        return 2 * math.prod(x) * weight[0]

    product = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return {} if product is None else {product: count}


def one_case(folder: Path, batch_name: str, heads: str, precision: str, threads: int, repeats: int) -> dict:
    """Seconds per step, operations, peak memory and the machine's own peak, in this process."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from moleblend_plugin.data.batches.collate import collate
    from moleblend_plugin.data.samples.blend import BlendConfig, blend
    from moleblend_plugin.data.samples.featurize import featurize
    from moleblend_plugin.losses.pretrain import PretrainLossConfig, pretrain_objective
    from moleblend_plugin.models.blend.config import PRESETS
    from moleblend_plugin.models.blend.moleblend import MoleBlend
    from moleblend_plugin.runs.allocator import keep_freed_memory

    keep_freed_memory()  # as a task does
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    config = replace(PRESETS["moleblend_base"], **HEADS[heads])
    model, loss = MoleBlend(config).train(), PretrainLossConfig()
    samples = [
        blend(featurize(record), BlendConfig(), 1, 1, row) | {"index": row}
        for row, record in enumerate(molecules(folder, BATCHES[batch_name]))
    ]
    batch = collate(samples)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        mixed = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()
        with mixed:
            predictions = model(**batch["net_input"])
            objective = pretrain_objective(
                predictions, batch["net_input"], batch["target"], loss, config.distance_max
            )
        objective.total.backward()

    clock: Clock = "cpu" if threads == 1 else "wall"
    timing = timed(step, repeats, clock)
    peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # before the optimiser's state
    with FlopCounterMode(display=False, custom_mapping=_of_products()) as counter:
        step()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    return {
        "seconds": timing.median,
        "quickest": min(timing.seconds),
        "spread": timing.spread,
        "clock": clock,
        "gflop": counter.get_total_flops() / 1e9,
        "gigabytes": peak_memory,
        "update": timed(optimizer.step, 3, clock).median,
        "peak": product_peak(precision, clock),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def half_pays(threads: int) -> Figure:
    """Speed of a small matrix product in bf16 over fp32: far below 1 on processors that cannot compute it."""
    import torch

    torch.set_num_threads(threads)
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.randn(128, 768).to(dtype), torch.randn(768, 768).to(dtype)
        seconds[dtype] = min(timed(lambda a=left, b=right: a @ b, 3, "wall").seconds)
    ratio = seconds[torch.float32] / seconds[torch.bfloat16]
    how = f"one product, wall time; instruction set {torch.backends.cpu.get_cpu_capability()}"
    return Figure("matrix products, bf16 over fp32", ratio, "x", how)


def product_peak(precision: str, clock: Clock) -> float:
    """GFLOP/s of the quickest of a few matrix products."""
    import torch

    from moleblend_plugin.models.parts.products import linear

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    rates = []
    for rows, inner, columns in ((1024, 1024, 1024), (1120, 768, 768), (2048, 768, 2304)):
        left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
        best = min(timed(lambda a=left, b=right: linear(a, b.T), 5, clock).seconds)
        rates.append(2e-9 * rows * inner * columns / best)
    return max(rates)


def figures(batch: str, heads: str, precision: str, threads: int, repeats: int, case: dict) -> list[Figure]:
    """Rows of one case."""
    name = f"{batch}, {heads} heads, {precision}"
    clock = "CPU time" if case["clock"] == "cpu" else "wall time"
    how = f"{clock}, {threads} thread(s), {repeats} steps of 32 molecules"
    before, memory = SECONDS.get((batch, threads)), GIGABYTES[batch]
    wanted = before and before / FASTER[precision]
    share = case["gflop"] / case["quickest"] / case["peak"]
    peak, weights = f"quickest step; peak {case['peak']:.0f} GFLOP/s", case["parameters"] / 1e6
    return [
        Figure(f"{name}: step", case["seconds"], "s", how, case["spread"], before, wanted, more=False),
        Figure(f"{name}: quickest", case["quickest"], "s", how, None, before, wanted, more=False),
        Figure(f"{name}: products", case["gflop"], "GFLOP", "flop_counter of torch", before=GFLOP[batch]),
        Figure(f"{name}: share of peak", share, "", peak, target=SHARE),
        Figure(f"{name}: memory", case["gigabytes"], "GB", "process", None, memory, memory / 2, more=False),
        Figure(f"{name}: AdamW", case["update"], "s", f"fused, {weights:.1f} M weights"),
    ]


def measure(folder: Path, cases: list[tuple[str, str, str]], threads: int, repeats: int) -> Table:
    """The table."""
    table = Table(f"Training step, published size, {threads} thread(s)")
    half = half_pays(threads)
    table.add(half)
    if half.value < 1:
        cases = [case for case in cases if case[2] != "bf16"]
        table.notes.append("bf16 was not run: this processor has no instructions for it.")
    for batch, heads, precision in cases:
        command = [
            sys.executable,
            __file__,
            str(folder),
            "--threads",
            str(threads),
            "--repeats",
            str(repeats),
        ]
        done = subprocess.run(
            [*command, "--only", batch, heads, precision, "--as-json"], stdout=subprocess.PIPE, check=True
        )
        for figure in figures(batch, heads, precision, threads, repeats, json.loads(done.stdout)):
            table.add(figure)
    return table


def all_cases() -> list[tuple[str, str, str]]:
    """Batch, heads, precision; checkpointing is measured for its memory, once."""
    every = [(batch, heads, precision) for batch in BATCHES for heads in HEADS for precision in FASTER]
    return [case for case in every if case[1:] != ("checkpointed", "bf16")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs=3, metavar=("BATCH", "HEADS", "PRECISION"), help="one case")
    parser.add_argument("--as-json", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases = [tuple(args.only)] if args.only else all_cases()
    if args.as_json:
        print(json.dumps(one_case(args.molecules, *cases[0], args.threads, args.repeats)))
    else:
        finish([measure(args.molecules, cases, args.threads, args.repeats)], args.threads, args.out)


if __name__ == "__main__":
    main()
