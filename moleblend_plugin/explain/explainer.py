"""What every atom adds to a prediction, for the networks of a predictor.

N heavy atoms in the order of the input, T targets that are explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Literal, cast, get_args

import numpy as np
import torch

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.explain.gradients import integrated_gradients, missing
from moleblend_plugin.explain.masking import AtomInputs, ModuleOutput
from moleblend_plugin.explain.occlusion import occlusion
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.inference.stream import FloatingArray
from moleblend_plugin.models.property.network import PropertyOutputs
from moleblend_plugin.schema import Float64Array, InputFields, LabelKind, MoleculeRecord

Method = Literal["occlusion", "integrated-gradients"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
DEFAULT_METHODS: Final[tuple[Method, ...]] = ("integrated-gradients",)
"""What came nearer to true contributions where these are known (``examples/22_explain``)."""

LOG_ODDS: Final = "log-odds"
MOST_TARGETS: Final = 12
"""Targets that are explained unless some are named: integrated gradients take a backward pass for each."""

WINDOW: Final = 32
"""Molecules explained together."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """One method's contributions to the predictions of a molecule, in label units or log-odds.

    Attributes:
        contributions: [N, T]; hydrogens count with their heavy atom.
        baseline: [T], prediction of the masked molecule; ``None`` for occlusion, which has none.
        steps: of the quadrature, the mean over networks and conformers; 0 for occlusion.
    """

    contributions: Float64Array
    baseline: Float64Array | None = None
    steps: float = 0.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """A molecule, its prediction and what its atoms add to that.

    Attributes:
        record: the molecule.
        predicted: [T], what ``moleblend predict`` says: probabilities, or values in label units.
        explained: [T], what contributions are of: log-odds, or values in label units; the mean over networks
            and conformers.
        attributions: by method.
        class_names: [T], of several classes those that are explained; () of other models.
    """

    record: MoleculeRecord
    predicted: Float64Array
    explained: Float64Array
    attributions: Mapping[Method, Attribution]
    class_names: tuple[str, ...] = ()

    def missing(self, method: Method) -> Float64Array | None:
        """By how much contributions miss prediction minus baseline, as a share of it: [T]."""
        found = self.attributions[method]
        if found.baseline is None:
            return None
        parts = (found.contributions, self.explained, found.baseline)
        share: Float64Array = missing(*map(torch.from_numpy, parts)).numpy()
        return share


class Explainer:
    """Contributions of atoms to a model's predictions.

    Of several networks the contributions are the mean of each one's, and they sum to the mean of their
    outputs. A stack's forests are not explained: they have no atoms, only descriptors and fingerprints.

    Args:
        predictor: the model.
        methods: of :data:`METHODS`, one or more.
        targets: names of the targets to explain; ``None`` for all, of which there may be 12. Of several
            classes: names of classes, whose log-odds against the rest are explained; ``None`` for the class
            that is predicted of each molecule.

    Attributes:
        predictor: as given.
        methods: as given.
        targets: names of the T targets, or of several classes those that were named.
        kinds: of the T targets.
        unit: of contributions: "log-odds", or that of the labels.

    Raises:
        MoleblendError: an unknown method or target, too many targets, or a network without a table of atoms.
    """

    def __init__(
        self,
        predictor: Predictor,
        methods: Sequence[str] = DEFAULT_METHODS,
        targets: Sequence[str] | None = None,
    ) -> None:
        unknown = [method for method in methods if method not in METHODS]
        if unknown or not methods:
            named = repr(unknown[0]) if unknown else "missing"
            raise MoleblendError(f"method {named}: choose from {', '.join(METHODS)}")
        self.predictor = predictor
        self.methods = cast("tuple[Method, ...]", tuple(dict.fromkeys(methods)))
        several = bool(predictor.class_names) and set(targets or ()) - set(predictor.target_names)
        names = predictor.class_names if several else predictor.target_names
        self.targets = _chosen(names, targets, "class" if several else "target")
        self._places = [names.index(name) for name in self.targets]
        self._as_predicted = bool(predictor.class_names) and not several
        self.kinds = tuple(predictor.kinds[0 if several else place] for place in self._places)
        of_kind = {"classification": LOG_ODDS, "multiclass": LOG_ODDS, "regression": "unit of the label"}
        self.unit = of_kind.get(predictor.kind, f"{LOG_ODDS} of classes, unit of the label of values")
        self._networks = predictor.networks if isinstance(predictor, Ensemble) else (predictor,)
        for network in self._networks:
            AtomInputs.of(network.network)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str = "auto",
        methods: Sequence[str] = DEFAULT_METHODS,
        targets: Sequence[str] | None = None,
    ) -> Explainer:
        """Explainer of whatever :meth:`Predictor.from_checkpoint` takes; arguments as there and here."""
        return cls(Predictor.from_checkpoint(path, device), methods, targets)

    @property
    def kind(self) -> LabelKind:
        """ "classification", "multiclass", "regression" or "mixed"."""
        return self.predictor.kind

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know of this model."""
        found = []
        if isinstance(self.predictor, Ensemble):
            count = len(self._networks)
            if count > 1:
                found.append(f"Contributions are the mean of those of {count} networks.")
            if self.predictor.stack is not None:
                found.append(
                    "The model is a stack of networks and forests: its networks are explained, whose mean is "
                    "another number than the prediction of the stack."
                )
        if self.predictor.featurizers:
            words = " and ".join(self.predictor.featurizers)
            found.append(
                f"The network also reads {words} of the whole molecule; they are kept as they are, and what "
                "they add is no atom's."
            )
        if self.predictor.extra_descriptors:
            words = ", ".join(self.predictor.extra_descriptors)
            found.append(
                f"The network also reads {words} of the table; they are kept as they are, and what they add "
                "is no atom's."
            )
        return tuple(found)

    def explain_records(
        self, records: Iterable[MoleculeRecord], window: int = WINDOW
    ) -> Iterator[Explanation]:
        """Explanation of every record, in order; records are taken ``window`` at a time."""
        source = iter(records)
        while part := list(islice(source, window)):
            values = list(self.predictor.predict_records(part))
            places = [self._explained_places(value) for value in values]
            found = {method: self._explain(method, part, places) for method in self.methods}
            names = self.predictor.class_names
            for place, record in enumerate(part):
                each = {method: found[method][place] for method in self.methods}
                explained = each[self.methods[0]][1]
                attributions = {method: attribution for method, (attribution, _) in each.items()}
                classes = tuple(names[own] for own in places[place]) if names else ()
                yield Explanation(record, values[place][places[place]], explained, attributions, classes)

    def _explained_places(self, prediction: Float64Array) -> list[int]:
        """Which outputs are explained of a molecule with a prediction [T], or [K] of K classes."""
        return [int(np.nan_to_num(prediction).argmax())] if self._as_predicted else self._places

    def _explain(
        self, method: Method, records: list[MoleculeRecord], places: Sequence[list[int]]
    ) -> list[tuple[Attribution, Float64Array]]:
        """Attribution and explained output of every record, at its ``places``."""
        rows = [
            list(one.run(partial(_NETS[method], one.network), records, 1, len(records)))
            for one in self._networks
        ]
        every = (np.mean(each, axis=0) for each in zip(*rows, strict=True))
        means = [mean[:, own] for mean, own in zip(every, places, strict=True)]
        if method == "occlusion":
            return [(Attribution(mean[:-1]), mean[-1]) for mean in means]
        return [(Attribution(mean[:-3], mean[-2], float(mean[-1, 0])), mean[-3]) for mean in means]


def _chosen(names: tuple[str, ...], wanted: Sequence[str] | None, noun: str) -> tuple[str, ...]:
    """Names of the targets, or of the classes, to explain.

    Raises:
        MoleblendError: one is unknown, or too many are.
    """
    unknown = [name for name in wanted or () if name not in names]
    if unknown:
        shown = ", ".join(names[:MOST_TARGETS]) + (", ..." if len(names) > MOST_TARGETS else "")
        raise MoleblendError(f"the model predicts no {noun} {unknown[0]!r}: choose from {shown}")
    if not wanted and len(names) > MOST_TARGETS:
        raise MoleblendError(f"the model predicts {len(names)} targets: name those to explain (--target)")
    return tuple(dict.fromkeys(wanted)) if wanted else names


Net = Callable[[PropertyOutputs, InputFields[torch.Tensor]], Sequence[FloatingArray]]


def _occluded(network: PropertyOutputs, net_input: InputFields[torch.Tensor]) -> Sequence[FloatingArray]:
    """[N + 1, L] of a batch of one: contributions, then the output, in label units or log-odds."""
    scale, shift = _units(network)
    with _explained_outputs(network):
        found, outputs = occlusion(network, cast("Mapping[str, torch.Tensor]", net_input))
    return [np.vstack((found.numpy() * scale, outputs.numpy() * scale + shift))]


def _integrated(network: PropertyOutputs, net_input: InputFields[torch.Tensor]) -> Sequence[FloatingArray]:
    """[N + 3, L]: contributions, then output, baseline and steps."""
    scale, shift = _units(network)
    with _explained_outputs(network):
        found = integrated_gradients(network, cast("Mapping[str, torch.Tensor]", net_input))
    last = [values.numpy() * scale + shift for values in (found.outputs, found.baseline)]
    steps = np.full_like(last[0], found.steps)
    return [np.vstack((found.contributions.numpy() * scale, *last, steps))]


_NETS: Final[Mapping[Method, Net]] = {"occlusion": _occluded, "integrated-gradients": _integrated}


def _explained_outputs(network: PropertyOutputs) -> AbstractContextManager[None]:
    """A block in which a network of several classes gives their log-odds, each against the rest."""
    if network.property.kind != "multiclass":
        return nullcontext()
    return ModuleOutput(network).changed(log_odds_of)


def log_odds_of(logits: torch.Tensor) -> torch.Tensor:
    """Log-odds [B, K] of each of K classes against all others together, from logits [B, K]."""
    others = [torch.cat((logits[:, :place], logits[:, place + 1 :]), 1) for place in range(logits.shape[1])]
    return logits - torch.stack([rest.logsumexp(1) for rest in others], 1)


def _units(network: PropertyOutputs) -> tuple[Float64Array, Float64Array]:
    """Factor and shift [L] from outputs to label units; a classifier's outputs are log-odds as they are."""
    scale, shift = network.target_std.cpu().double().numpy(), network.target_mean.cpu().double().numpy()
    return scale, shift
