"""Explanations of molecules in memory, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moleblend_plugin.explain.explainer import DEFAULT_METHODS, Explainer, Explanation
from moleblend_plugin.inference.conversion import conversion_for
from moleblend_plugin.inference.estimators.described import described_records
from moleblend_plugin.inference.estimators.molecules import Molecules
from moleblend_plugin.inference.estimators.network import NetworkEstimator
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.schema import MoleculeRecord, Rejection


def explain_molecules(
    model: str | Path | Predictor | NetworkEstimator,
    molecules: Molecules,
    methods: Sequence[str] = DEFAULT_METHODS,
    targets: Sequence[str] | None = None,
    device: str = "auto",
    conformers: int | str | None = None,
) -> list[Explanation | Rejection]:
    """Contributions of the atoms of every molecule, in order; of one that is none, why.

    Args:
        model: a checkpoint of task ``moleblend_property``, a file of an estimator or its name, a
            ``Predictor``, or a fitted estimator.
        molecules: SMILES, RDKit molecules, or the ``Path`` of a file of molecules; for a model that reads
            columns beside the molecule, a table or file that has them.
        methods: "occlusion", "integrated-gradients", or both.
        targets: names of the targets to explain; ``None`` for all, of which there may be 12. Of a model of
            several classes names of classes; ``None`` for the predicted one.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps", for a file or an estimator.
        conformers: as of ``moleblend explain``.

    Raises:
        MoleblendError: no such file, an unknown method or target, or a model that cannot be explained.
        ValueError: ``molecules`` is no list of molecules, or the estimator is not fitted.
    """
    explainer = Explainer(_predictor(model, device), methods, targets)
    network = explainer.predictor
    config = conversion_for(network.args, network.input_mode, conformers).config
    results = described_records(molecules, network.extra_descriptors, config, 1, network.featurizers)
    found = explainer.explain_records(result for result in results if isinstance(result, MoleculeRecord))
    return [result if isinstance(result, Rejection) else next(found) for result in results]


def _predictor(model: str | Path | Predictor | NetworkEstimator, device: str) -> Predictor:
    if isinstance(model, Predictor):
        return model
    if isinstance(model, NetworkEstimator):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(model)
        return Predictor.from_bytes(model.checkpoint_, device)
    return Predictor.from_checkpoint(model, device)
