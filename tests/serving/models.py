"""Models to serve: two tiny networks that trust themselves, and one that only waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from moleblend_plugin.inference.ensemble_file import EnsembleFile, write_ensemble
from moleblend_plugin.serving.bodies import Body
from moleblend_plugin.serving.results import Column, PredictedTable
from moleblend_plugin.serving.served_model import ServedModel
from moleblend_plugin.trust.calibrating import calibrate
from moleblend_plugin.trust.domain import Domain
from moleblend_plugin.trust.file import write_trust
from moleblend_plugin.trust.model import HeldOut
from tests.checkpoints import property_checkpoint
from tests.fitting.tables import SMILES


def trusting_model(path: Path, kind: str = "regression") -> Path:
    """A file of two networks, with 40 training molecules and what was said of them when held out."""
    members = [
        property_checkpoint(path.with_name(f"{number}.pt"), ("logS",), kind, shift=number)
        for number in range(2)
    ]
    numbers = np.arange(len(SMILES))
    labels = numbers % 2 if kind == "classification" else np.linspace(-3, 1, len(SMILES))
    said = np.clip(labels + np.sin(numbers) / 4, 0.01, 0.99) if kind == "classification" else labels + 0.1
    held = HeldOut("folds", SMILES, numbers, labels[:, None].astype(float), said[:, None], numbers % 5)
    trust = calibrate(kind, ("logS",), Domain.of(SMILES, numbers), held)  # type: ignore[arg-type]
    file = EnsembleFile(tuple(member.read_bytes() for member in members), trust=write_trust(trust))
    write_ensemble(path, file)
    return path


class WaitingModel(ServedModel):
    """Answers after ``seconds``, and notes what it was asked and how many calls there were at once."""

    seconds = 0.02

    def predict(self, body: Body, check: Callable[[], None] = lambda: None) -> PredictedTable:
        """One row with the body's text."""
        notes = self.__dict__.setdefault("notes_of_calls", {"asked": [], "now": 0, "most": 0})
        notes["now"] += 1
        notes["most"] = max(notes["most"], notes["now"])
        try:
            notes["asked"].append(body.content.decode())
            end = time.monotonic() + self.seconds
            while time.monotonic() < end:
                check()
                time.sleep(0.005)
        finally:
            notes["now"] -= 1
        return PredictedTable([Column("smiles", "text", "input")], [[body.content.decode()]], [None])
