"""What a caller asks of a build, by the names of its options, and the plan that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

from moleblend_plugin.building.exclude import read_exclusions
from moleblend_plugin.building.labels import few_names, with_words
from moleblend_plugin.building.plan import BuildPlan, given_parts, parse_sizes
from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.chem.geometry.conformer_count import parse_conformers
from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD, find_method
from moleblend_plugin.chem.geometry.conformers import ConformerConfig
from moleblend_plugin.chem.readers.columns import NumericColumns
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.entry import usable_cores
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs import join_geometry, open_inputs
from moleblend_plugin.names import write_name
from moleblend_plugin.splits.given_rows import read_rows_file
from moleblend_plugin.splits.methods import parse_split
from moleblend_plugin.splits.part_files import in_part, with_own_names

AnyPath = str | Path


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Options of :func:`moleblend_plugin.build`, which says what they mean; plain values, for processes."""

    smiles_column: str = ""
    target_columns: str | Sequence[str] = ()
    missing_label: str | float | Sequence[str | float] = ()
    positive: str | Sequence[str] = ()
    negative: str | Sequence[str] = ()
    conformers: int | str | None = 1
    split: str = "none"
    valid: AnyPath | Sequence[AnyPath] = ()
    test: AnyPath | Sequence[AnyPath] = ()
    split_sizes: str | Sequence[float] = (0.8, 0.1, 0.1)
    seed: int = 0
    workers: int | None = None
    strict: bool = False
    timeout: float = 20.0
    conformer_method: str = DEFAULT_METHOD
    relax_steps: int | None = None
    limit: int | None = None
    source_coords: bool = True
    geometry: AnyPath | None = None
    exclude: AnyPath | Sequence[AnyPath] = ()
    exclude_level: str = "connectivity"
    descriptors: bool = False
    ecfp: bool = False
    row_timeout: float | None = None
    overwrite: bool = False


def plan_of(
    inputs: AnyPath | Sequence[AnyPath], out: AnyPath, options: BuildOptions, choose: Callable[[str], None]
) -> BuildPlan:
    """The plan of a build: its inputs are open, and everything is checked that needs no row.

    Args:
        inputs: one file or several, or folders of the files of parts.
        out: folder for what is built.
        options: how.
        choose: told how the request was understood, a line each.

    Raises:
        MoleblendError: anything that the user can correct.
    """
    seed = _whole("seed", options.seed, 0)
    workers = None if options.workers is None else _whole("workers", options.workers, 1)
    limit = None if options.limit is None else _whole("limit", options.limit, 1)
    count = None if options.conformers is None else parse_conformers(options.conformers)
    find_method(options.conformer_method)
    if options.row_timeout is not None and not options.row_timeout > 0:
        raise MoleblendError(f"--row-timeout {options.row_timeout:g}: give seconds above 0")
    paths = (_paths(inputs), _paths(options.valid), _paths(options.test))
    files, split, parts = given_parts(*paths, options.split)
    method = parse_split(split)
    rows_file = read_rows_file(method.name) if method.kind == "rows" else None
    missing = list(map(str, _several(options.missing_label)))
    words = (_several(options.positive), _several(options.negative))
    columns = Columns(options.smiles_column, (), rows_file.key if rows_file else method.name)
    opened = open_inputs(files, with_words(columns, missing, *words), _several(options.target_columns))
    _report_columns(opened.numeric, choose)
    sources = with_own_names(opened.sources)
    if options.geometry is not None:
        sources = tuple(join_geometry(source, Path(options.geometry)) for source in sources)
    if parts:
        sources = tuple(in_part(source, part) for source, part in zip(sources, parts, strict=True))
    conformers = None
    if count is not None:
        conformers = ConformerConfig.by_method(
            options.conformer_method, count, seed, options.timeout, options.relax_steps
        )
    exclude = (_paths(options.exclude), options.exclude_level, options.smiles_column)
    return BuildPlan(
        sources=sources,
        out=Path(out),
        columns=opened.columns,
        conversion=ConversionConfig(conformers, options.source_coords),
        split=split,
        method=method,
        sizes=parse_sizes(options.split_sizes),
        seed=seed,
        workers=usable_cores() if workers is None else workers,
        strict=options.strict,
        limit=limit,
        overwrite=options.overwrite,
        rows_file=rows_file,
        geometry=None if options.geometry is None else Path(options.geometry),
        exclusion=read_exclusions(*exclude, choose),
        parts=parts,
        descriptors=options.descriptors,
        ecfp=options.ecfp,
        row_timeout=options.row_timeout,
    )


def _report_columns(found: NumericColumns | None, choose: Callable[[str], None]) -> None:
    """Report which columns "all" takes, and why not the others."""
    if found is not None:
        shown = few_names([write_name(name) for name in found.taken])
        choose(f"targets: {len(found.taken)} columns of numbers: {shown}")
        if found.left_out:
            reasons = [f"{write_name(name)} ({reason})" for name, reason in found.left_out.items()]
            choose(f"not taken: {few_names(reasons)}")


def _several(given: Any) -> list[Any]:  # noqa: ANN401  one value or several
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def _paths(given: AnyPath | Sequence[AnyPath]) -> list[Path]:
    return [Path(path) for path in _several(given)]


def _whole(name: str, number: SupportsIndex, least: int) -> int:
    """The number as an ``int``, NumPy's too."""
    if not isinstance(number, SupportsIndex) or index(number) < least:
        raise MoleblendError(f"--{name} {number}: give a whole number from {least}")
    return index(number)
