"""Updates of small networks beside another commit: python tools/bench/updates.py MOLECULES --against COMMIT.

An update is forward, loss, backward, clipping and AdamW on 32 drug-like molecules, with dropout. The
other commit is checked out into a folder of its own (git worktree); both run in turn, each in its process,
one thread, CPU time. The ratio is the median of those within a turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from measure import Figure, Table, finish, molecules, settings

CASES = {
    "moleblend_property_tiny, 2D": 0.55,
    "moleblend_property_tiny, 2D and 3D": 0.55,
    "moleblend_property_small, 2D": 0.55,
    "moleblend_property_small, 2D and 3D": 0.55,
    "moleblend_tiny, pretraining": 0.6,
}
"""What is updated, and the share of the other commit's time that is to be reached."""

BEFORE = "cd5c242"
HERE = Path(__file__).resolve().parents[2]
TURNS_OF = 2


def prepare(folder: Path, case: str) -> Callable[[], None]:
    """One update, of the package that is found first; older commits have other modules."""
    import torch

    from moleblend_plugin.losses.pretrain import PretrainLossConfig, pretrain_objective
    from moleblend_plugin.schema import Shown

    try:
        from moleblend_plugin.data.batches.collate import collate
        from moleblend_plugin.data.samples.blend import BlendConfig, blend
        from moleblend_plugin.data.samples.featurize import featurize
        from moleblend_plugin.models.blend.config import PRESETS
        from moleblend_plugin.models.blend.moleblend import MoleBlend
        from moleblend_plugin.models.property.network import PropertyConfig, PropertyNet
    except ImportError:
        from moleblend_plugin.data.blend import BlendConfig, blend
        from moleblend_plugin.data.collate import collate
        from moleblend_plugin.data.featurize import featurize
        from moleblend_plugin.models.config import PRESETS
        from moleblend_plugin.models.moleblend import MoleBlend

        from moleblend_plugin.models.property import PropertyConfig, PropertyNet
    with suppress(ImportError):  # older commits have none
        from moleblend_plugin.runs.allocator import keep_freed_memory

        keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config = PRESETS["moleblend_small" if "small" in case else "moleblend_tiny"]
    records = molecules(folder, "drug-like, 32")
    batch = collate(
        [
            blend(featurize(record), BlendConfig(), 1, 1, row) | {"index": row}
            for row, record in enumerate(records)
        ]
    )
    inputs, targets = batch["net_input"], batch["target"]
    if "property" in case:
        atoms, pairs = Shown.SPD, Shown.SPD | Shown.EDGE
        if "3D" in case:
            atoms, pairs, inputs["coords"] = atoms | 4, pairs | 4, targets["clean_coords"]
        real = inputs["atom_shown"].ne(0)
        inputs["atom_shown"] = real.byte() * int(atoms)
        inputs["pair_shown"] = inputs["pair_shown"].ne(0).byte() * int(pairs)
        model = PropertyNet(config, PropertyConfig(1, "regression"))
        labels = torch.randn(len(records), 1)

        def loss() -> torch.Tensor:
            return (model(**inputs) - labels).square().mean()
    else:
        model, weights = MoleBlend(config), PretrainLossConfig()

        def loss() -> torch.Tensor:
            return pretrain_objective(model(**inputs), inputs, targets, weights, config.distance_max).total

    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def update() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return update


def serve(folder: Path, case: str) -> None:
    """In a process of its own: an answer in seconds per update for every line."""
    update = prepare(folder, case)
    for _ in range(2):
        update()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.process_time()
        for _ in range(TURNS_OF):
            update()
        print((time.process_time() - start) / TURNS_OF, flush=True)


def knows(commit: str) -> bool:
    """Whether this copy of the repository has the commit."""
    command = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(command, cwd=HERE, stderr=subprocess.DEVNULL, check=False).returncode == 0


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with another commit."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", place, commit], cwd=HERE, check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", place], cwd=HERE, check=True)


@contextmanager
def served(root: Path, folder: Path, case: str) -> Iterator[Callable[[], float]]:
    """Seconds of updates with the package in ``root``."""
    command = [sys.executable, __file__, str(folder.resolve()), "--serve", case]
    env = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=root, env=env, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        given, answers = process.stdin, process.stdout
        if answers.readline().strip() != "ready":
            raise SystemExit(f"{root}: {case} does not run")

        def seconds() -> float:
            given.write("\n")
            given.flush()
            return float(answers.readline())

        yield seconds
        given.close()


def measure(folder: Path, commit: str, cases: list[str], repeats: int) -> Table:
    """The table."""
    table = Table(f"Updates, 32 drug-like molecules, beside {commit}, 1 thread")
    with checked_out(commit) as before:
        for case in cases:
            with ExitStack() as running:
                old, new = (running.enter_context(served(root, folder, case)) for root in (before, HERE))
                turns = [(old(), new()) for _ in range(repeats)]
            ratios = [after / earlier for earlier, after in turns]
            low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
            how = f"CPU time, {repeats} turns; {statistics.median(turn[0] for turn in turns):.3g} s before"
            table.add(Figure(f"{case}: update", statistics.median(turn[1] for turn in turns), "s", how))
            spread = (high - low) / ratio
            table.add(Figure(f"{case}: ratio", ratio, "x", "", spread, None, CASES[case], more=False))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    parser.add_argument("--against", default=BEFORE, help="the other commit")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), help="some cases")
    parser.add_argument("--serve", choices=list(CASES), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.molecules, args.serve)
    else:
        finish([measure(args.molecules, args.against, args.only, max(3, args.repeats))], 1, args.out)


if __name__ == "__main__":
    main()
