"""States of the encoder's last layer as embeddings: the graph token, the mean over atoms, or every atom.

Legend: N heavy atoms, C conformers, D width of the encoder.

Atoms stand in the order of the record's atoms: the atoms of the molecule as RDKit parses it (the order in
the SMILES or mol block), hydrogens left out. ``[atom for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1]``
of ``mol = Chem.MolFromSmiles(smiles)`` is that order, with the SMILES as it was given, not the canonical one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

import torch

from moleblend_plugin.data.samples.blend import unblended
from moleblend_plugin.data.samples.input_codes import input_codes_of
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.stream import FloatingArray, run
from moleblend_plugin.runs.devices import choose_device
from moleblend_plugin.schema import InputFields, InputMode, MoleculeRecord

if TYPE_CHECKING:
    from moleblend_plugin.models.blend.moleblend import MoleBlendEncoder

What = Literal["graph", "mean", "atoms"]

VECTOR_WINDOW: Final = 1024
"""Molecules sorted together: fewer than for predictions, since the vectors of a window are held."""


class Embedder:
    """An encoder ready to embed; a pretraining or a property checkpoint may hold it.

    Args:
        encoder: the encoder.
        args: the options of its run, as its checkpoint holds them.
        what: "graph" (state of the graph token, [D]), "mean" (mean state of the atoms, [D]) or "atoms"
            (states of the atoms, [N, D]).
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        input_mode: what the encoder sees, "2d", "3d" or "both"; ``None`` for that of the checkpoint's run,
            which for pretraining is "both".

    Attributes:
        width: D.
        what: as given.
        input_mode: what the encoder sees.
        input_codes: "invariant" or "published", as in training (``schema.InputCodes``).
        args: as given.
        device: where it computes.
        featurizers: none; only the head of a property network reads some.
        extra_descriptors: none, likewise.
        reads_smiles: no.

    Raises:
        MoleblendError: an unknown ``what`` or ``input_mode``, or no such device.
    """

    featurizers: Final[tuple[str, ...]] = ()
    extra_descriptors: Final[tuple[str, ...]] = ()
    reads_smiles: Final = False

    def __init__(
        self,
        encoder: MoleBlendEncoder,
        args: argparse.Namespace,
        what: What = "graph",
        device: str = "auto",
        input_mode: str | None = None,
    ) -> None:
        if what not in get_args(What):
            raise MoleblendError(f"--what {what!r} is unknown; choose from {', '.join(get_args(What))}")
        mode = input_mode or getattr(args, "input_mode", "both")
        if mode not in ("2d", "3d", "both"):
            raise MoleblendError(f"--input-mode {mode!r} is unknown; choose from 2d, 3d, both")
        self.args = args
        self.what: What = what
        self.input_mode: InputMode = cast("InputMode", mode)
        self.input_codes = input_codes_of(args)
        self.device = choose_device(device)
        self.width = encoder.config.encoder_embed_dim
        self._encoder = encoder.to(self.device).eval()

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        what: What = "graph",
        device: str = "auto",
        input_mode: str | None = None,
        use_ema: bool = False,
    ) -> Embedder:
        """Embedder of a checkpoint of pretraining or of task ``moleblend_property``.

        Args:
            path: the file, or the name of a bundled network.
            what: as of the class.
            device: as of the class.
            input_mode: as of the class.
            use_ema: take the moving average of the weights.

        Raises:
            MoleblendError: no such file, damaged, no encoder in it, or an impossible argument.
        """
        from moleblend_plugin.tasks.load import load_encoder

        encoder, args = load_encoder(path, use_ema)
        return cls(encoder, args, what, device, input_mode)

    def embed_records(
        self, records: Iterable[MoleculeRecord], batch_size: int = 64, window: int = VECTOR_WINDOW
    ) -> Iterator[FloatingArray]:
        """Vector [D] (or vectors [N, D]) float32 of every record, in order, averaged over conformers.

        Records are taken as needed, ``window`` at a time.
        """
        to_sample = partial(unblended, input_mode=self.input_mode)
        return run(records, to_sample, self._embed, self.device, batch_size, window, self.input_codes)

    def _embed(self, net_input: InputFields[torch.Tensor]) -> Sequence[FloatingArray]:
        if self.what == "graph":
            return list(self._encoder.represent_graph(**net_input).states[:, 0].float().cpu().numpy())
        encoded = self._encoder.represent(**net_input)
        atoms = encoded.states[:, 1:].float()
        real = encoded.real[..., None]  # [B, N, 1]
        if self.what == "mean":
            return list(((atoms * real).sum(1) / real.sum(1)).cpu().numpy())
        counts = encoded.real.sum(1).tolist()
        return [rows[:count] for rows, count in zip(atoms.cpu().numpy(), counts, strict=True)]
