"""All benchmarks, one after the other: python tools/bench/run.py MOLECULES --out speed.

Writes ``speed.md`` and ``speed.json``; with ``--page docs/speed_tables.md`` also that page's figures.
Start, updates, predictions and fine-tuning are measured in turns with an earlier commit, where this copy of
the repository has it; the latter two where there are tables (``--tables``).
Wall times (several threads) want a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path

import build
import data
import fine_tune
import padding
import predict
import start
import step
import updates
from measure import finish, settings

MARKS = ("<!-- figures: written by tools/bench/run.py -->", "<!-- end of figures -->")


def put_into(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1], help="of the training step"
    )
    parser.add_argument("--tables", type=Path, help="folder of MoleculeNet's esol, hiv and muv (.csv.gz)")
    parser.add_argument("--chemprop", type=Path, help="chemprop's command, which predicts in turns with ours")
    parser.add_argument("--page", type=Path, help="page whose figures are replaced")
    args = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with ExitStack() as open_now:
        before = None
        if updates.knows(updates.BEFORE):
            before = open_now.enter_context(updates.checked_out(updates.BEFORE))
        tables = [
            start.measure(args.molecules, args.repeats, before),
            padding.measure(args.molecules),
            data.measure(args.molecules, data.MILLION, args.repeats),
            build.measure(args.molecules, build.ROWS, build.WITH_3D, 2),
        ]
        if args.tables is not None:
            smiles = predict.read_smiles(args.tables / "muv.csv.gz", "smiles", predict.ROWS)
            tables.append(predict.measure(args.molecules, smiles, 3, before, args.chemprop))
    for threads in sorted(set(args.threads)):
        tables.append(step.measure(args.molecules, step.all_cases(), threads, max(3, args.repeats // 2)))
    if before is not None:
        cases = list(updates.CASES)
        tables.append(updates.measure(args.molecules, updates.BEFORE, cases, max(3, args.repeats)))
    if args.tables is not None:
        commit = "none" if before is None else updates.BEFORE
        tables.append(fine_tune.measure(args.tables, commit, 3))
    text = finish(tables, max(args.threads), args.out)
    if args.page is not None:
        put_into(args.page, text)


if __name__ == "__main__":
    main()
