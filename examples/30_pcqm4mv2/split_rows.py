"""Turns the split file of PCQM4Mv2 into rows for ``moleblend build --split rows:FILE``.

    python examples/30_pcqm4mv2/split_rows.py pcqm4m-v2/split_dict.pt split.json

``split_dict.pt`` is a pickle of four arrays of row numbers. It is read without running it: only what rebuilds
a NumPy array is admitted. Both test parts go to ``test``; their labels are not public.
"""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path

import numpy as np
import torch

PARTS = {"train": "train", "valid": "valid", "test-dev": "test", "test-challenge": "test"}


def read_split(path: Path) -> dict[str, list[int]]:
    """Row numbers of train, valid and test, each in order.

    Raises:
        ValueError: other parts, or rows that are missing or listed twice.
    """
    arrays = [np.ndarray, np.dtype, *{type(np.dtype(kind)) for kind in ("int32", "int64")}]
    rebuild = np.empty(0).__reduce__()[0]
    names = [f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")]  # NumPy 1 and 2
    with torch.serialization.safe_globals([*arrays, *((rebuild, name) for name in names)]):
        content = torch.load(path, weights_only=True)
    if set(content) != set(PARTS):
        raise ValueError(f"{path} holds {', '.join(sorted(content))} instead of {', '.join(PARTS)}")
    split: dict[str, list[int]] = {part: [] for part in PARTS.values()}
    for name, part in PARTS.items():
        split[part] += np.asarray(content[name]).ravel().tolist()
    rows = np.sort(np.concatenate([np.asarray(part) for part in split.values()]))
    if not np.array_equal(rows, np.arange(len(rows))):
        raise ValueError(f"{path} does not list every row from 0 to {len(rows) - 1} once")
    return {part: sorted(rows) for part, rows in split.items()}


def rows_file(split: dict[str, list[int]]) -> dict[str, object]:
    """What ``--split rows:FILE`` reads: train is what the others leave, so the file stays short."""
    return {
        "n_rows": sum(map(len, split.values())),
        "train_is_complement": True,
        "valid": split["valid"],
        "test": split["test"],
    }


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("split_dict", type=Path, help="split_dict.pt of PCQM4Mv2")
    parser.add_argument("out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    try:
        split = read_split(args.split_dict)
    except (OSError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        parser.error(f"{args.split_dict} cannot be read: {error}")
    args.out.write_text(json.dumps(rows_file(split)), encoding="utf-8")
    print(", ".join(f"{part} {len(rows):,}" for part, rows in split.items()))


if __name__ == "__main__":
    main()
