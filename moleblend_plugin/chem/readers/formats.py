"""Which reader a file of molecules needs."""

from __future__ import annotations

from pathlib import Path

from moleblend_plugin.chem.readers import npz, sdf, smi, tables
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.errors import MoleblendError


def open_source(path: str | Path, columns: Columns | None = None) -> Source:
    """Reader for ``path`` by its name: .smi, .csv, .tsv, .sdf (each also .gz) or .npz.

    Raises:
        MoleblendError: no such file, or a name that tells no format.
    """
    file, wanted = Path(path), columns or Columns()
    name = file.name.lower().removesuffix(".gz")
    for endings, read, has_columns in (
        ((".smi", ".smiles"), smi.read_smi, False),
        ((".csv", ".tsv"), tables.read_table, True),
        ((".sdf", ".sd", ".mol"), sdf.read_sdf, True),
        ((".npz",), npz.read_npz, True),
    ):
        if name.endswith(endings):
            return Source(file, wanted, read, has_columns)
    raise MoleblendError(
        f"{file} has no ending that tells its format; use .smi, .csv, .tsv, .sdf (each also .gz) or .npz"
    )
