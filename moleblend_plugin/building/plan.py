"""What a build is asked to do: one frozen value, checked before any work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from moleblend_plugin.building.exclude import Exclusion
from moleblend_plugin.chem.convert import TOOLKIT, ConversionConfig
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import sha256_of
from moleblend_plugin.inputs import expand_folders, split_of
from moleblend_plugin.schema import PARTS, SCHEMA_VERSION
from moleblend_plugin.splits.given_rows import RowsFile
from moleblend_plugin.splits.methods import SplitMethod
from moleblend_plugin.splits.part_files import parts_of_files
from moleblend_plugin.version import __version__


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """Everything about a build.

    Attributes:
        sources: the input files, open for reading.
        out: folder for the stores and reports.
        columns: what is read from the inputs.
        conversion: how rows become records.
        split: a form of ``--split`` (``splits.methods.FORMS``).
        method: ``split`` taken apart.
        sizes: fractions of train, valid and test (random and scaffold splits).
        seed: seed of the random split and of conformers.
        workers: processes that convert; 1 converts in this one.
        strict: stop at the first rejected row.
        limit: rows to read in all, or ``None``.
        overwrite: whether a store in ``out`` may be replaced.
        rows_file: the given split of ``rows:FILE``.
        geometry: the SDF that the input is joined with, or ``None``.
        exclusion: molecules that are left out.
        parts: part of each source, for ``--split files``.
        descriptors: whether RDKit's descriptors are stored.
        ecfp: whether ECFP4 counts are stored.
        row_timeout: seconds after which a row is rejected, as is one that ends its process; ``None``: such
            a row ends the build.
    """

    sources: tuple[Source, ...]
    out: Path
    columns: Columns
    conversion: ConversionConfig
    split: str
    method: SplitMethod
    sizes: tuple[float, ...]
    seed: int
    workers: int
    strict: bool
    limit: int | None
    overwrite: bool
    rows_file: RowsFile | None
    geometry: Path | None
    exclusion: Exclusion
    parts: tuple[str, ...]
    descriptors: bool = False
    ecfp: bool = False
    row_timeout: float | None = None

    def __post_init__(self) -> None:
        if not self.sources:
            raise MoleblendError("no input files; name one at least")
        if self.method.kind == "rows" and len(self.sources) != 1:
            raise MoleblendError(
                f"--split {self.split} numbers the rows of one table; got {len(self.sources)} inputs"
            )
        if len(self.sizes) != len(PARTS) or any(not 0 <= size <= 1 for size in self.sizes):
            raise MoleblendError(
                f"--split-sizes needs three fractions from 0 to 1, such as 0.8,0.1,0.1; "
                f"got {','.join(f'{size:g}' for size in self.sizes)}"
            )
        if not math.isclose(sum(self.sizes), 1.0, abs_tol=1e-6):
            raise MoleblendError(f"--split-sizes sum to {sum(self.sizes):g}; make them sum to 1")
        if self.geometry is not None and len(self.sources) != 1:
            raise MoleblendError(
                f"--geometry {self.geometry} belongs to one table; got {len(self.sources)} inputs"
            )
        names = [source.name for source in self.sources] + ([self.geometry.name] if self.geometry else [])
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None and len({source.path.resolve() for source in self.sources}) < len(self.sources):
            raise MoleblendError(f"{twice} is given twice; name every input once")
        if twice is not None:
            raise MoleblendError(f"two inputs are named {twice}; row ids need different names: rename one")
        if self.method.kind == "files" and len(self.parts) != len(self.sources):
            raise MoleblendError("--split files needs the part of every input")

    @property
    def parts_of_files(self) -> dict[str, str] | None:
        """Part by name of the input, for ``--split files``."""
        if not self.parts:
            return None
        return {source.name: part for source, part in zip(self.sources, self.parts, strict=True)}

    @property
    def excluded_sha256(self) -> str:
        """Checksum of the molecules left out, whatever files list them; "" for none."""
        held = self.exclusion.identities
        return sha256("\n".join(sorted(held)).encode()).hexdigest() if held else ""

    def checksums(self) -> dict[str, str]:
        """sha256 of every input file by name; reads them through."""
        found = {source.name: sha256_of(source.path) for source in self.sources}
        return found | ({self.geometry.name: sha256_of(self.geometry)} if self.geometry else {})

    def split_settings(self) -> dict[str, Any]:
        """What decides the parts, for ``split.json``."""
        settings = self.method.settings(self.sizes, self.seed)
        if self.rows_file is not None:
            settings |= {"file": self.rows_file.path.name, "sha256": self.rows_file.sha256}
            settings |= {"key": self.rows_file.key} if self.rows_file.key else {}
            settings |= {} if self.rows_file.replicate is None else {"replicate": self.rows_file.replicate}
        if self.parts:
            settings |= {"files": self.parts_of_files}
        return settings

    def settings(self) -> dict[str, Any]:
        """What determines the stores' content, besides the inputs: plain values, for the fingerprint."""
        # A given split is its content, wherever its file lies.
        given: dict[str, Any] = {} if self.rows_file is None else {"split_file": self.split_settings()}
        given |= {"geometry": self.geometry.name} if self.geometry else {}
        given |= {"parts_of_files": self.parts_of_files} if self.parts else {}
        if self.exclusion.identities:
            given |= {"excluded_sha256": self.excluded_sha256, "exclude_level": self.exclusion.level}
        return given | {
            "columns": self.columns.settings(),
            "conversion": self.conversion.settings(),
            "split": self.split if self.rows_file is None else self.method.kind,
            "split_sizes": list(self.sizes) if self.method.is_sized else None,
            "seed": self.seed,
            "limit": self.limit,
            "schema_version": SCHEMA_VERSION,
            "package_version": __version__,
            "toolkit": TOOLKIT,
        }


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
        return files, split, parts_of_files(files) if split == "files" else ()
    folder = next((path for path in (*inputs, *valid, *test) if path.is_dir()), None)
    if split not in ("none", "files") or folder is not None:
        also = f"{folder} is a folder" if folder is not None else f"got --split {split} too"
        raise MoleblendError(f"--valid and --test name files beside those that train; {also}: leave one out")
    parts = ("train",) * len(inputs) + ("valid",) * len(valid) + ("test",) * len(test)
    return [*inputs, *valid, *test], "files", parts


def parse_sizes(given: str | Sequence[float]) -> tuple[float, ...]:
    """Fractions of ``--split-sizes``, also as text with commas.

    Raises:
        MoleblendError: they are no numbers.
    """
    try:
        return tuple(float(part) for part in (given.split(",") if isinstance(given, str) else given))
    except ValueError:
        raise MoleblendError(f"--split-sizes needs numbers such as 0.8,0.1,0.1; got {given!r}") from None
