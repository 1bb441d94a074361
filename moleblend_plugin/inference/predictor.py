"""Predictions of a property checkpoint: molecules in, values in original units or probabilities out.

Legend: M molecules, C conformers, T targets of the checkpoint, E members of an ensemble. A model of one of K
classes has one target and predicts K probabilities: there T stands for K in shapes of predictions.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from moleblend_plugin.chem.identity.featurizers import featurized
from moleblend_plugin.data.head_inputs import EXTRA
from moleblend_plugin.data.samples.blend import unblended
from moleblend_plugin.data.samples.input_codes import input_codes_of
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.ensemble_file import is_ensemble, read_ensemble
from moleblend_plugin.inference.featurized import head_inputs_here, stored_as_here
from moleblend_plugin.inference.kept_trust import checked_trust, trust_in
from moleblend_plugin.inference.stack import Stack, extra_of
from moleblend_plugin.inference.stream import WINDOW, FloatingArray, Net, run
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.networks.resolve import find_checkpoint_file
from moleblend_plugin.runs.devices import choose_device
from moleblend_plugin.schema import Float64Array, InputFields, InputMode, LabelKind, MoleculeRecord
from moleblend_plugin.tasks.property.classes import class_names_of
from moleblend_plugin.tasks.property.columns import columns_of
from moleblend_plugin.tasks.property.head_inputs import kept_head_inputs

if TYPE_CHECKING:
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.models.property.network import PropertyOutputs
    from moleblend_plugin.trust.model import Trust


class Prediction(NamedTuple):
    """What an ensemble says of one molecule.

    Attributes:
        values: [T], what it predicts.
        members: [E, T], what each network predicts.
    """

    values: Float64Array
    members: Float64Array

    @property
    def sd(self) -> Float64Array:
        """Standard deviation of the networks' predictions [T] (n - 1 below the sum of squares)."""
        found: Float64Array = self.members.std(0, ddof=1)
        return found


class Predictor:
    """A property network ready to predict.

    Predictions of a molecule are averaged over its conformers. They do not depend on batch size, input
    order or neighbours, but for rounding (relative differences below 1e-5).

    Args:
        model: the network, in evaluation mode.
        args: the options of its run, as its checkpoint holds them.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        MoleblendError: the network's head reads descriptors or fingerprints that are computed otherwise here.

    Attributes:
        target_names: names of the targets.
        kind: "classification" (probabilities of class 1), "multiclass" (of every class), "regression" (values
            in original units) or "mixed".
        kinds: of every target.
        class_names: of "multiclass", what the K classes are called.
        input_mode: what the network sees: "2d", "3d" or "both"; a molecule without 3D shows 2D in any mode.
        input_codes: "invariant" or "published", as in training (``schema.InputCodes``).
        featurizers: what its head reads beside the encoder: "descriptors", "ecfp", both or nothing.
        extra_descriptors: columns of a table that it reads too; records bring them (``MoleculeRecord``).
        args: as given.
        device: where it computes.
        n_members: number of networks, 1 unless it is an :class:`Ensemble`.
        trust: how far to trust it, ``None`` where its file does not say.
    """

    n_members = 1
    trust: Trust | None = None
    featurizers: tuple[str, ...] = ()
    extra_descriptors: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def __init__(self, model: PropertyOutputs, args: argparse.Namespace, device: str = "auto") -> None:
        self.args = args
        self.device = choose_device(device)
        self.target_names: tuple[str, ...] = tuple(args.target_names)
        self.kind: LabelKind = model.property.kind
        self.kinds: tuple[ColumnKind, ...] = model.property.column_kinds
        self.class_names = class_names_of(args)
        self.input_mode: InputMode = args.input_mode
        self.input_codes = input_codes_of(args)
        kept = kept_head_inputs(args)
        self.featurizers = tuple(name for name in kept if name != EXTRA)
        self.extra_descriptors = tuple(kept[EXTRA]["names"]) if EXTRA in kept else ()
        self._head_inputs = head_inputs_here(kept)
        self._model = model.to(self.device).eval()

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "auto", use_ema: bool = False) -> Predictor:
        """Predictor of a checkpoint of task ``moleblend_property``, or of a file of several networks.

        Args:
            path: the file, the folder of a ``moleblend fit``, or the name of a bundled network that predicts
                a property; a file of several networks gives an :class:`Ensemble`.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps".
            use_ema: take the moving average of the weights.

        Raises:
            MoleblendError: no such file, damaged, a checkpoint of another task, or no such device.
        """
        from moleblend_plugin.tasks.load import load_property_model

        path = find_checkpoint_file(path)
        if is_ensemble(path):
            return _read(path, device, use_ema)
        model, args = load_property_model(path, use_ema=use_ema)
        found = cls(model, args, device)
        try:
            found.trust = checked_trust(trust_in(args), found.target_names, found.kinds)
        except MoleblendError as error:
            raise MoleblendError(f"{str(path)!r} cannot be used: {error}") from error
        return found

    @classmethod
    def from_bytes(cls, checkpoint: bytes, device: str = "auto") -> Predictor:
        """The same from the bytes of a checkpoint's file."""
        with TemporaryDirectory(prefix="moleblend-") as folder:
            path = Path(folder, "checkpoint.pt")
            path.write_bytes(checkpoint)
            return cls.from_checkpoint(path, device)

    @property
    def outputs(self) -> int:
        """Numbers of a prediction: one per target, or one per class of the one target."""
        return len(self.class_names) or len(self.target_names)

    @property
    def reads_smiles(self) -> bool:
        """Whether it reads the canonical SMILES of molecules, not their atoms and bonds alone."""
        return bool(self.featurizers)

    def predict_records(
        self, records: Iterable[MoleculeRecord], batch_size: int = 64, window: int = WINDOW
    ) -> Iterator[Float64Array]:
        """Predictions [T] of every record, in order.

        Args:
            records: the molecules; taken from the iterable as they are needed, ``window`` at a time. What the
                network's head reads of them is of the RDKit at hand, or ``None`` and computed here.
            batch_size: conformers per batch at most; large molecules get smaller batches.
            window: molecules sorted by size together.
        """
        predictions = self.run(self._predict, records, batch_size, window)
        return (np.asarray(value, np.float64) for value in predictions)

    def run(
        self, net: Net, records: Iterable[MoleculeRecord], batch_size: int = 64, window: int = WINDOW
    ) -> Iterator[FloatingArray]:
        """What ``net`` makes of this network's input of every record, in order, averaged over conformers.

        Args:
            net: gets a batch as :attr:`network` reads it, in inference mode.
            records: as for :meth:`predict_records`, like the others.
            batch_size: as there.
            window: as there.
        """
        to_sample = partial(unblended, input_mode=self.input_mode)
        if self.featurizers:
            records = map(self._featurized, records)
        codes, beside = self.input_codes, self._head_inputs
        return run(records, to_sample, net, self.device, batch_size, window, codes, beside)

    @property
    def network(self) -> PropertyOutputs:
        """The network, in evaluation mode, on :attr:`device`."""
        return self._model

    def predict_members(
        self, records: Iterable[MoleculeRecord], batch_size: int = 64, window: int = WINDOW
    ) -> Iterator[Prediction]:
        """The same with what every network says; arguments are those of :meth:`predict_records`."""
        for values in self.predict_records(records, batch_size, window):
            yield Prediction(values, values[None])

    def _featurized(self, record: MoleculeRecord) -> MoleculeRecord:
        missing = [name for name in self.featurizers if getattr(record, name) is None]
        return featurized(record, missing) if missing else record

    def predict_store(self, store: MoleculeStore, batch_size: int = 64) -> Float64Array:
        """Predictions [M, T] of every molecule of a store, in its order.

        What the network's head reads of a store's molecules is taken from there if this RDKit made it.

        Raises:
            DamagedValue: a molecule of the store cannot be read.
        """
        predictions = np.full((len(store), self.outputs), np.nan)
        records: Iterable[MoleculeRecord] = store
        if self.featurizers:
            records = map(stored_as_here(store, self.featurizers), store)
        if self.extra_descriptors:
            places = columns_of(store, list(self.extra_descriptors))
            records = (replace(record, extra_descriptors=record.targets[places]) for record in records)
        for index, value in enumerate(self.predict_records(records, batch_size)):
            predictions[index] = value
        return predictions

    def _predict(self, net_input: InputFields[torch.Tensor]) -> Sequence[FloatingArray]:
        values: FloatingArray = self._model.predict(**net_input).cpu().double().numpy()  # [B, T]
        return list(values)


class Ensemble(Predictor):
    """Several networks of the same targets: the mean of their predictions, or a stack of it with forests.

    Args:
        networks: one or more.
        stack: what combines their mean with forests, ``None`` for the mean alone.

    Attributes:
        networks: as given.
        stack: as given.

    Raises:
        MoleblendError: the networks do not predict the same.
    """

    def __init__(self, networks: Sequence[Predictor], stack: Stack | None = None) -> None:
        first = networks[0]
        self.networks = tuple(networks)
        self.stack = stack
        self.n_members = len(networks)
        self.args, self.device = first.args, first.device
        self.target_names, self.kind, self.kinds = first.target_names, first.kind, first.kinds
        self.class_names = first.class_names
        self.input_mode, self.input_codes = first.input_mode, first.input_codes
        self.extra_descriptors = first.extra_descriptors
        self.featurizers = tuple(dict.fromkeys(name for one in networks for name in one.featurizers))
        for number, network in enumerate(networks, 1):
            if network.extra_descriptors != self.extra_descriptors:
                raise MoleblendError(
                    f"member {number} reads other columns beside the molecule than member 1: combine "
                    "networks that were trained alike"
                )
            if _predicts(network) != _predicts(self):
                raise MoleblendError(
                    f"member {number} predicts {network.kind} of {', '.join(network.target_names)} from "
                    f"{network.input_mode}, unlike member 1: combine networks that were trained alike"
                )

    @property
    def reads_smiles(self) -> bool:
        """As of one network; forests read them too."""
        return super().reads_smiles or self.stack is not None

    def predict_records(
        self, records: Iterable[MoleculeRecord], batch_size: int = 64, window: int = WINDOW
    ) -> Iterator[Float64Array]:
        """Predictions [T] of every record, in order; arguments as those of one network."""
        return (found.values for found in self.predict_members(records, batch_size, window))

    def predict_members(
        self, records: Iterable[MoleculeRecord], batch_size: int = 64, window: int = WINDOW
    ) -> Iterator[Prediction]:
        """Predictions of every record, and those of every network."""
        source = map(self._featurized, records)  # once for all networks
        while part := list(islice(source, window)):
            each = np.array([list(one.predict_records(part, batch_size, window)) for one in self.networks])
            values = each.mean(0)  # [M, T]
            if self.stack is not None:
                smiles = [record.smiles for record in part]
                values = self.stack.combine(values, smiles, extra_of(part, self.stack.extra_descriptors))
            yield from map(Prediction, values, each.swapaxes(0, 1))


def _predicts(one: Predictor) -> tuple[object, ...]:
    """What members of an ensemble must have alike."""
    return one.target_names, one.kinds, one.class_names, one.input_mode


def _read(path: Path, device: str, use_ema: bool) -> Ensemble:
    """The ensemble of a file.

    Raises:
        MoleblendError: damage, named by member.
    """
    found = read_ensemble(path)
    networks = []
    for number, member in enumerate(found.members, 1):
        with TemporaryDirectory(prefix="moleblend-") as folder:
            single = Path(folder, f"member_{number}.pt")
            single.write_bytes(member)
            try:
                networks.append(Predictor.from_checkpoint(single, device, use_ema))
            except MoleblendError as error:
                words = re.sub(rf"(checkpoint )?'?{re.escape(str(single))}'?", "it", str(error))
                raise MoleblendError(
                    f"member {number} of {len(found.members)} of {str(path)!r} cannot be used: {words}"
                ) from error
    try:
        stack = None if found.stack is None else Stack.read(found.stack, found.forests)
    except MoleblendError as error:
        raise MoleblendError(f"the stack of {str(path)!r} cannot be used: {error}") from error
    ensemble = Ensemble(networks, stack)
    try:
        ensemble.trust = checked_trust(found.trust, ensemble.target_names, ensemble.kinds)
    except MoleblendError as error:
        raise MoleblendError(f"{str(path)!r} cannot be used: {error}") from error
    return ensemble
