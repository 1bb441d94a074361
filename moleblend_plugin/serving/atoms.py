"""What the atoms of one molecule add to a prediction, as numbers and as a coloured drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from moleblend_plugin.chem.draw_atoms import DASHES, LESS, MORE, draw_atoms
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.explain.explainer import Explainer, Explanation
from moleblend_plugin.inference.estimators.molecules import convert_all
from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.serving.served_model import ServedModel

METHOD: Final = "integrated-gradients"

_INK: Final = ("#24292f", "#e6edf3")


@dataclass(frozen=True)
class AtomContributions:
    """Answer to ``/explanation``.

    Attributes:
        smiles: the molecule; its heavy atoms, in the order of this SMILES, are those of ``contributions``.
        target: what is predicted.
        unit: of the numbers below but the first: log-odds, or that of the label.
        predicted: the prediction: a probability, or a value.
        explained: what the contributions are of: the mean of the networks.
        baseline: the same for the molecule with all atoms masked.
        contributions: by heavy atom; they sum to ``explained - baseline``.
        notes: what a reader of the numbers must know of this model.
        class_name: of several classes, the one that is explained; else null.
    """

    smiles: str
    target: str
    unit: str
    predicted: float
    explained: float
    baseline: float
    contributions: list[float]
    notes: list[str]
    class_name: str | None = None


@dataclass(frozen=True)
class ExplainedMolecule:
    """One molecule and what explains its prediction.

    Attributes:
        explanation: of one target.
        unit: of contributions.
        target: its name.
        notes: of the model.
    """

    explanation: Explanation
    unit: str
    target: str
    notes: tuple[str, ...]

    def to_plain(self) -> AtomContributions:
        """Numbers."""
        found = self.explanation
        attribution = found.attributions[METHOD]
        baseline = attribution.baseline
        assert baseline is not None  # this method has one
        return AtomContributions(
            found.record.smiles,
            self.target,
            self.unit,
            float(found.predicted[0]),
            float(found.explained[0]),
            float(np.ravel(baseline)[0]),
            attribution.contributions[:, 0].tolist(),
            list(self.notes),
            next(iter(found.class_names), None),
        )

    def to_svg(self, dark: bool = False) -> str:
        """The molecule, a disc under each atom, the stronger the more it adds within this molecule.

        Args:
            dark: for dark pages. It carries its colours itself: styles of a page do not reach a picture.

        Returns:
            "" where RDKit cannot draw the molecule.
        """
        values = self.explanation.attributions[METHOD].contributions[:, 0]
        tips = [f"{value:+.3g}" for value in values]
        scale = max(float(np.abs(values).max()), 1e-12)
        drawn = draw_atoms(self.explanation.record, values.tolist(), scale, tips)
        if not drawn:
            return ""
        more, less, ink = MORE[dark], LESS[dark], _INK[dark]
        style = (
            f"<style>svg{{color:{ink}}}.more{{fill:{more};stroke:{more}}}.none{{fill:none}}"
            f".less{{fill:{less};stroke:{less};stroke-dasharray:{DASHES}}}</style>"
        )
        head, _, rest = drawn.partition(">")
        return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{rest}'


def explain_atoms(model: ServedModel, smiles: str, target: str = "") -> ExplainedMolecule:
    """Explain the prediction of one molecule.

    Args:
        model: what predicts.
        smiles: the molecule.
        target: its name, or of several classes that of one; may be "" where the model predicts one target, of
            several classes then the likeliest.

    Raises:
        MoleblendError: no molecule, no such target, or a model that cannot be explained.
    """
    names = model.predictor.target_names
    if not target and len(names) > 1:
        raise MoleblendError(f"target is missing: give one of {', '.join(names[:12])}")
    explainer = Explainer(model.predictor, (METHOD,), [target or names[0]])
    (found,) = convert_all([smiles], model.conversion, 1, model.predictor.featurizers)
    if not isinstance(found, MoleculeRecord):
        raise MoleblendError(f"no molecule: {found.reason}")
    if found.n_atoms > model.max_atoms:
        raise MoleblendError(
            f"{found.n_atoms} heavy atoms are more than the {model.max_atoms} of this server"
        )
    (explanation,) = explainer.explain_records([found])
    return ExplainedMolecule(explanation, explainer.unit, explainer.targets[0], explainer.notes)
