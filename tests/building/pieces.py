"""Builds in one run and in pieces, and what must be equal between them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moleblend_plugin import build
from moleblend_plugin.building.join import join_pieces
from moleblend_plugin.building.options import BuildOptions
from moleblend_plugin.building.piece import build_piece
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.data.store.record_codec import encode_record

TIMES = ("created", "seconds", "rows_per_second")


def write_table(path: Path, rows: int = 60) -> Path:
    """A table of chains and rings with bad rows, repeated molecules, words among numbers and parts."""
    lines = ["name,smiles,y,z,part"]
    for number in range(rows):
        smiles = f"{'C' * (1 + number % 9)}{('O', 'c1ccccc1', 'N')[number // 9 % 3]}"
        smiles = "bad(" if number % 13 == 4 else smiles
        z = "yes" if number % 20 == 15 else f"{number % 2}" if number % 3 else ""
        part = ("train", "train", "val", "test")[number % 4] if number != 33 else "other"
        lines.append(f"m{number},{smiles},{number / 4},{z},{part}")
    path.write_text("\n".join(lines) + "\n")
    return path


def in_pieces(
    inputs: Path | Sequence[Path], folder: Path, options: dict[str, Any], order: Sequence[int]
) -> Path:
    """Folder of the pieces of a build, made in this order; there are as many as it has numbers."""
    for number in order:
        build_piece(inputs, folder, f"{number}/{len(order)}", BuildOptions(**options))
    return folder


def assert_equal_builds(one: Path, joined: Path) -> None:
    """Stores, lists and reports of two builds are equal, but for times."""
    reports = [json.loads((folder / "build_report.json").read_text()) for folder in (one, joined)]
    for report in reports:
        for name in TIMES:
            del report[name]
    assert reports[1] == reports[0]
    assert [list(report) for report in reports[:1]] == [list(reports[1])]
    for name in ("split.json", "rejected.csv"):
        assert (joined / name).read_bytes() == (one / name).read_bytes(), name
    names = {path.name for path in one.glob("*.lmdb")}
    assert {path.name for path in joined.glob("*.lmdb")} == names
    for name in names:
        left, right = MoleculeStore(one / name), MoleculeStore(joined / name)
        assert right.pieces is not None
        assert left.pieces is None
        assert list(map(encode_record, right)) == list(map(encode_record, left))
        assert right.n_atoms.tobytes() == left.n_atoms.tobytes()
        assert asdict(right.meta) | {"created": ""} == asdict(left.meta) | {"created": ""}


def built_both_ways(
    inputs: Path | Sequence[Path], folder: Path, options: dict[str, Any], order: Sequence[int]
) -> tuple[Path, Path]:
    """A build in one run and one of joined pieces."""
    options = {"conformers": None, "workers": 1} | options
    one = build(inputs, folder / "one", **options).out
    return one, join_pieces(in_pieces(inputs, folder / "pieces", options, order), folder / "joined").out
