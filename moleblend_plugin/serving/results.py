"""What the server answers: predictions as the table that ``moleblend predict`` writes, and its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from moleblend_plugin.inference.table_writer import ColumnType, open_table


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: as ``moleblend predict`` writes it.
        type: text, number, integer or flag.
        role: input, row_id, value, probability, members_sd, low, high, calibrated, set, similarity,
            training_row, training_smiles, outside_domain or reason.
        target: whose, for what there is once per target.
        class_name: of which of several classes, for what there is of each; ``value`` is then the likeliest.
    """

    name: str
    type: str
    role: str
    target: str | None = None
    class_name: str | None = None


@dataclass(frozen=True)
class Predictions:
    """Answer of ``POST /predict``.

    Attributes:
        columns: in order.
        rows: by column name, the cells of every row of the input, in its order; null for empty ones.
        molecules: canonical SMILES of what each row was read as; null where it is no molecule.
        notes: how the input was read.
        csv: the table as CSV, where it was asked for.
    """

    columns: list[Column]
    rows: list[dict[str, Any]]
    molecules: list[str | None]
    notes: list[str] = field(default_factory=list)
    csv: str | None = None


@dataclass(frozen=True)
class Health:
    """Answer of ``GET /health``.

    Attributes:
        status: "ok".
        model: name of the model's folder or file.
        kind: regression, classification, multiclass or mixed.
        targets: what it predicts.
        networks: number of networks.
        training_molecules: how many its domain knows; null where its file does not say.
        interval_level: of intervals and prediction sets; null where it has none.
        notes: what it cannot give, and why.
        max_rows: rows of a request.
        max_bytes: bytes of its body.
        waiting: requests that wait for the network or that it works on.
        version: of moleblend_plugin.
    """

    status: str
    model: str
    kind: str
    targets: list[str]
    networks: int
    training_molecules: int | None
    interval_level: float | None
    notes: list[str]
    max_rows: int
    max_bytes: int
    waiting: int
    version: str


@dataclass(frozen=True)
class Problem:
    """What is answered where there is no result: one line that names the thing and the remedy."""

    detail: str


@dataclass(frozen=True)
class PredictedTable:
    """Predictions of all rows of an input.

    Attributes:
        columns: in order.
        cells: of every row, under them.
        molecules: canonical SMILES by row, or ``None``.
        notes: how the input was read.
    """

    columns: Sequence[Column]
    cells: Sequence[Sequence[Any]]
    molecules: Sequence[str | None]
    notes: Sequence[str] = ()

    def to_csv(self) -> str:
        """The file that ``moleblend predict`` would write."""
        types: dict[str, ColumnType] = {column.name: column.type for column in self.columns}  # type: ignore[misc]
        with TemporaryDirectory(prefix="moleblend-") as folder:
            path = Path(folder, "predictions.csv")
            with open_table(path, types) as table:
                for row in self.cells:
                    table.write(row)
            return path.read_bytes().decode("utf-8")  # line ends inside of cells stay

    def to_plain(self, with_csv: bool) -> dict[str, Any]:
        """Plain values of :class:`Predictions`."""
        names = [column.name for column in self.columns]
        rows = [dict(zip(names, row, strict=True)) for row in self.cells]
        csv = self.to_csv() if with_csv else None
        return asdict(Predictions(list(self.columns), rows, list(self.molecules), list(self.notes), csv))
