"""One model, loaded once, and what it says of the body of a request. T targets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NotRequired, TypedDict

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.inference.conversion import conversion_for
from moleblend_plugin.inference.input_rows import MAX_ATOMS, InputRow
from moleblend_plugin.inference.outputs import NOT_FINITE, input_columns
from moleblend_plugin.inference.predicted_columns import predicted_cells, predicted_columns
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.run_folder import find_checkpoint
from moleblend_plugin.inference.table_writer import free_name
from moleblend_plugin.inference.trust_columns import PredictedRow, TrustColumns, choose_trust_columns
from moleblend_plugin.inference.windows import in_windows
from moleblend_plugin.names import write_names
from moleblend_plugin.networks.resolve import MODEL_FILE
from moleblend_plugin.serving.bodies import Body, Reads, open_body
from moleblend_plugin.serving.limits import Limits
from moleblend_plugin.serving.results import Column, PredictedTable

_WINDOW: Final = 64
"""Rows computed together; between two windows a request can be given up."""

_PER_TARGET: Final = {
    "predicted": "value",
    "members_sd": "members_sd",
    "low": "low",
    "high": "high",
    "calibrated": "calibrated",
    "set": "set",
}
_PER_CLASS: Final = ("probability", "members_sd", "calibrated")
"""Roles of what there is of every one of several classes, as its columns begin."""

_OTHERS: Final = {
    "nearest_similarity": "similarity",
    "nearest_training_row": "training_row",
    "nearest_training_smiles": "training_smiles",
    "outside_domain": "outside_domain",
}

Check = Callable[[], None]
"""Called between rows; raises where nobody waits for the result any more."""


class _Role(TypedDict):
    """What a column is, as :class:`Column` says it."""

    role: str
    target: NotRequired[str]
    class_name: NotRequired[str]


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready to answer. One call at a time: the network is not for several threads.

    Attributes:
        name: what people call it.
        predictor: the networks.
        beside: the columns beside the predictions.
        conversion: how rows become molecules.
        notes: what it cannot give, and why.
        batch_size: molecules computed together.
        max_atoms: larger molecules get a reason.
        limits: of a request.
    """

    name: str
    predictor: Predictor
    beside: TrustColumns
    conversion: ConversionConfig
    notes: Sequence[str] = ()
    batch_size: int = 64
    max_atoms: int = MAX_ATOMS
    limits: Limits = field(default_factory=Limits)

    def warm_up(self) -> None:
        """Predict one molecule: what is compiled or loaded at first use is so before anybody waits for it."""
        molecule = {"smiles": "CCO"} | dict.fromkeys(self.predictor.extra_descriptors)
        self.predict(Body(json.dumps([molecule if len(molecule) > 1 else "CCO"]).encode(), is_json=True))

    def predict(self, body: Body, check: Check = lambda: None) -> PredictedTable:
        """Predictions of every row of a body, as ``moleblend predict`` gives them.

        Args:
            body: what a client sent.
            check: called between rows; what it raises ends the work.

        Raises:
            TooLarge: more rows than the limit.
            MoleblendError: the body as a whole cannot be read.
        """
        predictor = self.predictor
        reads = Reads(self.conversion, self.max_atoms, predictor.featurizers, predictor.extra_descriptors)
        with open_body(body, reads, self.limits) as opened:
            columns = list(self._columns(opened.header))
            cells: list[list[Any]] = []
            molecules: list[str | None] = []
            for part in in_windows(
                opened.rows,
                lambda records: self.beside.results(predictor, records, self.batch_size),
                lambda _: check(),
                _WINDOW,
            ):
                for row, found in part:
                    cells.append(self._cells(row, found, len(columns)))
                    molecules.append(None if row.record is None else row.record.smiles)
            return PredictedTable(columns, cells, molecules, list(opened.notes))

    def _columns(self, header: Sequence[str]) -> Iterator[Column]:
        """Columns of the answer: those of ``moleblend predict``, in its order."""
        taken = input_columns(header)
        for number, (name, kind) in enumerate(taken.items()):
            yield Column(name, kind, "row_id" if number == 0 else "input")
        types = predicted_columns(self.predictor) | self.beside.columns(self.predictor)
        roles = self._roles()
        names = list(taken)
        for wanted, kind in types.items():
            names.append(free_name(wanted, names))
            yield Column(names[-1], kind, **roles[wanted])
        yield Column(free_name("reason", names), "text", "reason")

    def _roles(self) -> dict[str, _Role]:
        """By column of a prediction."""
        found: dict[str, _Role] = {name: {"role": role} for name, role in _OTHERS.items()}
        for target in self.predictor.target_names:
            for prefix, role in _PER_TARGET.items():
                found[f"{prefix}_{target}"] = {"role": role, "target": target}
            for each in self.predictor.class_names:
                for role in _PER_CLASS:
                    found[f"{role}_{target}_{each}"] = {"role": role, "target": target, "class_name": each}
        return found

    def _cells(self, row: InputRow, found: PredictedRow | None, width: int) -> list[Any]:
        start = [row.row_id, *row.cells]
        if found is None:
            return [*start, *[None] * (width - len(start) - 1), row.reason]
        cells, lost = predicted_cells(self.predictor, found.values)
        reason = f"{NOT_FINITE}: {', '.join(lost)}" if lost else row.reason
        return [*start, *cells, *found.beside, reason]


def load_served(
    checkpoint: Path,
    *,
    device: str = "auto",
    use_ema: bool = False,
    interval: float | None = None,
    conformers: str | None = None,
    batch_size: int = 64,
    max_atoms: int = MAX_ATOMS,
    limits: Limits | None = None,
) -> ServedModel:
    """Load a model for serving.

    Args:
        checkpoint: folder of a fit or a run, a checkpoint, or a name.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        use_ema: take the moving average of the weights.
        interval: level of intervals and prediction sets; ``None``: 0.9 where the model has them.
        conformers: conformers per molecule, "none", or ``None`` for as many as in training.
        batch_size: molecules computed together.
        max_atoms: larger molecules get a reason.
        limits: of requests.

    Raises:
        MoleblendError: no such model, damaged, or it cannot give the interval.
    """
    path = find_checkpoint(checkpoint)
    predictor = Predictor.from_checkpoint(path, device, use_ema)
    beside, notes = choose_trust_columns(predictor, predictor.n_members > 1, interval, True)
    if predictor.extra_descriptors:
        names = write_names(predictor.extra_descriptors, ", ")
        notes = [*notes, f"the model reads {names} beside the molecule: send a table with these columns"]
    conversion = conversion_for(predictor.args, predictor.input_mode, conformers).config
    name = path.resolve().parent.name if path.name == MODEL_FILE else path.name
    return ServedModel(name, predictor, beside, conversion, notes, batch_size, max_atoms, limits or Limits())
