"""What the words of a request mean: which file is which part, which columns are labels, which sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from moleblend_plugin.building.labels import few_names
from moleblend_plugin.chem.readers.columns import NumericColumns
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import expand_folders, split_of
from moleblend_plugin.names import write_name
from moleblend_plugin.splits.files import parts_of


def given_parts(
    inputs: list[Path], valid: list[Path], test: list[Path], split: str
) -> tuple[list[Path], str, tuple[str, ...]]:
    """All files, what ``--split`` means for them, and the part of every file where files are parts.

    Raises:
        MoleblendError: parts are named twice, or a file does not tell its own.
    """
    if not valid and not test:
        split = split_of(inputs, split)
        files = expand_folders(inputs)
        return files, split, parts_of(files) if split == "files" else ()
    folder = next((path for path in (*inputs, *valid, *test) if path.is_dir()), None)
    if split not in ("none", "files") or folder is not None:
        told = f"{folder} is a folder" if folder is not None else f"got --split {split} too"
        raise MoleblendError(f"--valid and --test name files beside those that train; {told}: leave one out")
    parts = ("train",) * len(inputs) + ("valid",) * len(valid) + ("test",) * len(test)
    return [*inputs, *valid, *test], "files", parts


def tell_columns(found: NumericColumns, choose: Callable[[str], None]) -> None:
    """Tell which columns are labels where all are asked for."""
    shown = few_names([write_name(name) for name in found.taken])
    choose(f"targets: {len(found.taken)} columns of numbers: {shown}")
    if found.left_out:
        reasons = [f"{write_name(name)} ({reason})" for name, reason in found.left_out.items()]
        choose(f"not taken: {few_names(reasons)}")


def parse_sizes(given: str | Sequence[float]) -> tuple[float, ...]:
    """Fractions of ``--split-sizes``, also as text with commas.

    Raises:
        MoleblendError: they are no numbers.
    """
    try:
        return tuple(float(part) for part in (given.split(",") if isinstance(given, str) else given))
    except ValueError:
        raise MoleblendError(f"--split-sizes needs numbers such as 0.8,0.1,0.1; got {given!r}") from None
