"""Predictions of a property checkpoint: molecules in, values in original units or probabilities out.

Legend: M molecules, C conformers, T targets of the checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch

from moleblend_plugin.data.samples.blend import unblended
from moleblend_plugin.data.samples.input_codes import input_codes_of
from moleblend_plugin.inference.stream import WINDOW, FloatingArray, run
from moleblend_plugin.runs.devices import choose_device
from moleblend_plugin.schema import Float64Array, InputFields, InputMode, LabelKind, MoleculeRecord

if TYPE_CHECKING:
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.models.property.network import PropertyOutputs


class Predictor:
    """A property network ready to predict.

    Predictions of a molecule are averaged over its conformers. They do not depend on batch size, input
    order or neighbours, but for rounding (relative differences below 1e-5).

    Args:
        model: the network, in evaluation mode.
        args: the options of its run, as its checkpoint holds them.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Attributes:
        target_names: names of the T columns of a prediction.
        kind: "classification" (probabilities) or "regression" (values in original units).
        input_mode: what the network sees: "2d", "3d" or "both"; a molecule without 3D shows 2D in any mode.
        input_codes: "invariant" or "published", as in training (``schema.InputCodes``).
        args: as given.
        device: where it computes.
    """

    def __init__(self, model: PropertyOutputs, args: argparse.Namespace, device: str = "auto") -> None:
        self.args = args
        self.device = choose_device(device)
        self.target_names: tuple[str, ...] = tuple(args.target_names)
        self.kind: LabelKind = model.property.kind
        self.input_mode: InputMode = args.input_mode
        self.input_codes = input_codes_of(args)
        self._model = model.to(self.device).eval()

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "auto", use_ema: bool = False) -> Predictor:
        """Predictor of a checkpoint of task ``moleblend_property``.

        Args:
            path: the file, or the name of a bundled network that predicts a property.
            device: "auto", "cpu", "cuda", "cuda:N" or "mps".
            use_ema: take the moving average of the weights.

        Raises:
            MoleblendError: no such file, damaged, a checkpoint of another task, or no such device.
        """
        from moleblend_plugin.tasks.load import load_property_model

        model, args = load_property_model(path, use_ema=use_ema)
        return cls(model, args, device)

    @classmethod
    def from_bytes(cls, checkpoint: bytes, device: str = "auto") -> Predictor:
        """The same from the bytes of a checkpoint's file."""
        with TemporaryDirectory(prefix="moleblend-") as folder:
            path = Path(folder, "checkpoint.pt")
            path.write_bytes(checkpoint)
            return cls.from_checkpoint(path, device)

    def predict_records(
        self, records: Iterable[MoleculeRecord], batch_size: int = 64, window: int = WINDOW
    ) -> Iterator[Float64Array]:
        """Predictions [T] of every record, in order.

        Args:
            records: the molecules; taken from the iterable as they are needed, ``window`` at a time.
            batch_size: conformers per batch at most; large molecules get smaller batches.
            window: molecules sorted by size together.
        """
        to_sample = partial(unblended, input_mode=self.input_mode)
        predictions = run(
            records, to_sample, self._predict, self.device, batch_size, window, self.input_codes
        )
        return (np.asarray(value, np.float64) for value in predictions)

    def predict_store(self, store: MoleculeStore, batch_size: int = 64) -> Float64Array:
        """Predictions [M, T] of every molecule of a store, in its order.

        Raises:
            DamagedValue: a molecule of the store cannot be read.
        """
        predictions = np.full((len(store), len(self.target_names)), np.nan)
        for index, value in enumerate(self.predict_records(store, batch_size)):
            predictions[index] = value
        return predictions

    def _predict(self, net_input: InputFields[torch.Tensor]) -> Sequence[FloatingArray]:
        values: FloatingArray = self._model.predict(**net_input).cpu().double().numpy()  # [B, T]
        return list(values)
