"""Every field that crosses a room border: its name, shape, dtype, pad, unit and meaning.

Legend of shape letters, the same in the whole package::

    B molecules in a batch   N atoms (padded)   T = N + 1 tokens (graph token first)   C conformers
    M bonds of a molecule    P path hops (5)    H heads   D width   K Gaussian kernels
    L labels of a molecule (columns of a property run)   F descriptors of a molecule   E bits of its ECFP
    V views of a molecule, S pixels along a drawing's side (MMSA-style, reconstructed)

"Method N" in this package's docstrings is section N of ``docs/method.md``, which states the method and
its source. This file imports nothing heavy and none of the rooms: every room may import it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntFlag
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA_VERSION: Final = 3
"""Version of :class:`MoleculeRecord` as stored."""

READ_VERSIONS: Final = (2, SCHEMA_VERSION)
"""Versions that a reader takes. Version 2 holds OGB's chirality alone, which hangs on the order of atoms."""

PARTS: Final = ("train", "valid", "test")
"""The parts of a data set, in this order: names of stores and of splits."""

InputCodes = Literal["invariant", "published"]
"""Whether what a model sees hangs on the order of atoms, that is on how a molecule happens to be written.

========== ===================================== ============================================
..         chirality                             of equally short paths between two atoms
========== ===================================== ============================================
invariant  ``vocab.CIP_LABELS``                  the one whose bonds have the lowest codes
published  OGB's clockwise, counter-clockwise    the one over the atoms that come first
========== ===================================== ============================================
"""

LabelKind = Literal["classification", "multiclass", "regression", "mixed"]
"""What the labels of a property run are: classes 0 and 1, one of several classes in a single column, values;
"mixed": some columns hold classes 0 and 1, the others values."""

FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
"""Largest number that networks compute with."""

PATH_HOPS: Final = 5
"""P: how many bonds of a shortest path are kept (method 2)."""

UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


class Shown(IntFlag):
    """Which relations an ordered pair (or an atom) shows to the encoder: a bit mask, 0 is padding.

    Pretraining sets one bit per pair; fine-tuning sets every bit of its input mode. For atoms,
    ``SPD`` stands for the degree embedding (the 2D side) and ``DISTANCE`` for the 3D summary.
    """

    NOTHING = 0
    SPD = 1
    EDGE = 2
    DISTANCE = 4


class RelationRow(NamedTuple):
    """How one relation is blended and named: see ``RELATIONS``.

    Attributes:
        shown: its bit.
        word: its name in options and reports.
        needs_3d: whether a molecule without 3D cannot show it.
        share: published probability that a pair shows it.
    """

    shown: Shown
    word: str
    needs_3d: bool
    share: float


RELATIONS: Final = (
    RelationRow(Shown.SPD, "spd", needs_3d=False, share=0.2),
    RelationRow(Shown.EDGE, "edge", needs_3d=False, share=0.2),
    RelationRow(Shown.DISTANCE, "3D", needs_3d=True, share=0.6),
)
"""The relations in the order of ``--relation-probs``; shares sum to 1."""

InputMode = Literal["2d", "3d", "both"]
"""Which side of a molecule a property run or a view sees."""


def _pairs(needs_3d: bool) -> Shown:
    return Shown(sum(row.shown for row in RELATIONS if row.needs_3d is needs_3d))


PAIRS_SHOWN: Final[dict[str, Shown]] = {
    "2d": _pairs(False),
    "3d": _pairs(True),
    "both": _pairs(False) | _pairs(True),
}
"""Every relation of a side: what all pairs show where nothing is blended."""

ATOMS_SHOWN: Final[dict[str, Shown]] = {
    "2d": Shown.SPD,
    "3d": Shown.DISTANCE,
    "both": Shown.SPD | Shown.DISTANCE,
}
"""The same for atoms."""


class Modality(IntFlag):
    """Views of a molecule in MMSA-style (reconstructed) pretraining: a bit mask of those it has."""

    GRAPH = 1
    IMAGE = 2
    GEOMETRY = 4


VIEWS: Final = {"2d": Modality.GRAPH, "image": Modality.IMAGE, "3d": Modality.GEOMETRY}
"""Names of the views as ``--views`` takes them, in the order of the batch's V axis."""


class Field(NamedTuple):
    """One row of the batch schema. ``pad`` is what fills positions beyond a molecule's atoms."""

    shape: str
    dtype: str
    pad: int | float
    unit: str
    meaning: str


INPUT_FIELDS: Final[dict[str, Field]] = {
    "atom_codes": Field("B N 9", "uint8", 0, "code", "OGB atom codes plus one (vocab.ATOM_FEATURES)"),
    "degree": Field("B N", "uint8", 0, "code", "heavy neighbours (vocab.DEGREE)"),
    "spd": Field("B N N", "uint8", 0, "code", "shortest-path length in bonds (vocab.SPD)"),
    "bond_path": Field("B N N 5", "uint8", 0, "code", "first five bonds on the path i -> j (vocab.BOND)"),
    "coords": Field("B N 3", "float32", 0.0, "Angstrom", "what the encoder sees: noisy in pretraining"),
    "pair_shown": Field("B N N", "uint8", 0, "bits", "relations shown per ordered pair (Shown)"),
    "atom_shown": Field("B N", "uint8", 0, "bits", "SPD: degree embedding, DISTANCE: 3D summary (Shown)"),
}
"""``batch["net_input"]``: the keyword arguments of the model's ``forward``."""

TARGET_FIELDS: Final[dict[str, Field]] = {
    "clean_coords": Field("B N 3", "float32", 0.0, "Angstrom", "coordinates before noise"),
    "noise": Field("B N 3", "float32", 0.0, "Angstrom", "what was added to clean_coords"),
    "has_coords": Field("B", "bool", 0, "flag", "the molecule has 3D; never inferred from zeros"),
    "descriptors": Field("B F", "float32", math.nan, "sd", "scaled descriptors, NaN where there is none"),
    "ecfp": Field("B E", "uint8", 0, "count", "environments of radius 2 by column, at most 255 of a kind"),
}
"""``batch["target"]`` of pretraining. spd and bond_path are targets too and stay in net_input; descriptors
and ecfp are there where a run learns them."""

HEAD_FIELDS: Final[dict[str, Field]] = {
    "head_inputs": Field("B F", "float32", 0.0, "sd", "scaled descriptors, 0 where there is none"),
}
"""What the head of a property network reads beside the encoder: in ``batch["net_input"]`` where it does."""

PROPERTY_FIELDS: Final[dict[str, Field]] = {
    "targets": Field("B L", "float32", math.nan, "as in the store", "labels, NaN where one is missing"),
    "weights": Field("B", "float32", 1.0, "1", "what a label of the molecule counts; absent: 1"),
}
"""``batch["target"]`` of a property run: L labels per molecule, in the order of ``args.target_names``."""

IMAGE_CHANGES: Final = ("brightness", "contrast", "saturation", "hue", "turn", "blur")
"""What is changed about a drawing: factors less one, a share of the colour circle, radians, and the
standard deviation of a blur in pixels of 224."""

VIEW_FIELDS: Final[dict[str, Field]] = {
    "modalities": Field("B", "uint8", 0, "bits", "views that the molecule has (Modality)"),
    "fused": Field("B", "uint8", 0, "bits", "those of them that enter the unified embedding (Modality)"),
    "cross_from": Field("B V", "uint8", 0, "view", "whose code rebuilds each view; itself where none can"),
    "image": Field("B 3 S S", "uint8", 255, "RGB", "drawing; white where there is none"),
    "image_change": Field("B 6", "float32", 0.0, "mixed", "IMAGE_CHANGES of this epoch; 0 changes nothing"),
}
"""``batch["views"]`` of MMSA-style (reconstructed) pretraining."""

Value = TypeVar("Value")


class InputFields(TypedDict, Generic[Value]):
    """The rows of ``INPUT_FIELDS`` as a type: of arrays in a sample, of tensors in a batch."""

    atom_codes: Value
    degree: Value
    spd: Value
    bond_path: Value
    coords: Value
    pair_shown: Value
    atom_shown: Value


class HeadFields(TypedDict, Generic[Value], total=False):
    """Those of ``HEAD_FIELDS``."""

    head_inputs: Value


class TargetFields(TypedDict, Generic[Value], total=False):
    """Those of ``TARGET_FIELDS``."""

    clean_coords: Value
    noise: Value
    has_coords: Value
    descriptors: Value
    ecfp: Value


class PropertyFields(TypedDict, Generic[Value], total=False):
    """Those of ``PROPERTY_FIELDS``."""

    targets: Value
    weights: Value


class ViewFields(TypedDict, Generic[Value], total=False):
    """Those of ``VIEW_FIELDS``."""

    modalities: Value
    fused: Value
    cross_from: Value
    image: Value
    image_change: Value


class Predictions(NamedTuple):
    """Outputs of pretraining; exactly one of ``distance`` and ``direction`` is there.

    Not every tensor is fp32 under mixed precision; the losses convert.
    """

    spd: Tensor  # [B, N, N, 11]
    edge: Tensor  # [B, N, N, P, 24]
    distance: Tensor | None  # [B, N, N, bins]
    direction: Tensor | None  # [B, N, N, 3]
    noise: Tensor  # fp32 [B, N, 3]
    descriptors: Tensor | None = None  # [B, F], where the model has that head
    ecfp: Tensor | None = None  # [B, E], logits, where it has that one
    rows: Tensor | None = None  # int64: the molecules that the pair and atom outputs are of; None for all


class StructureOutput(NamedTuple):
    """Outputs of MMSA-style (reconstructed) pretraining, of the batch of all processes; all fp32.

    A molecules of that batch, lower-case letters are widths. ``vertices`` of the A molecules take part in the
    hypergraph; the tensors after it have a row for each.
    """

    features: Tensor  # x [A, V, x]
    codes: Tensor  # c [A, V, c]
    rebuilt: Tensor  # [A, V, x], each view from its own code
    crossed: Tensor  # [A, V, x], each view from another one's code
    compared: Tensor  # q [A, V, q]
    present: Tensor  # bool [A, V]
    has_cross: Tensor  # bool [A, V]: crossed is from another view
    unified: Tensor  # u [A, c]
    vertices: Tensor  # bool [A]
    members: Tensor  # H [vertices, edges]
    refined: Tensor  # g [vertices, g]
    weights: Tensor  # s [vertices, K]
    read: Tensor  # r [vertices, g]
    refined_compared: Tensor  # [vertices, q]
    read_compared: Tensor  # [vertices, q]
    target: Tensor  # t [vertices, q], of the 2d view


class Curve(NamedTuple):
    """One logged number: its key in the log, what people call it, its unit, and whether more is better."""

    key: str
    title: str
    unit: str
    rises: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class MoleculeRecord:
    """One molecule as stored: heavy atoms only, chemistry already turned into codes.

    Attributes:
        source: name of the file the molecule came from (no folder).
        row: 0-based number of the record in that file.
        smiles: canonical isomeric SMILES of the molecule.
        atom_codes: uint8 [N, 9], OGB codes (0-based as in ``ogb``), but for chirality, which is
            ``vocab.CIP_LABELS``.
        bonds: uint16 [M, 2], each bond once, atom numbers within the molecule.
        bond_codes: uint8 [M, 3], OGB codes of each bond: type, stereo, conjugated.
        coords: float32 [C, N, 3] in Angstrom, or ``None`` where the molecule has no 3D.
        coords_from: where coords come from ("source", "ETKDGv3+MMFF94", "ETKDGv3", each with what there is to
            say of it: "..., not converged"), or, without coords, why there are none. What is the same for
            many molecules comes first, details of one after ": " (docs/store.md).
        targets: float64 [T], NaN where a label is missing; names are in the store's metadata.
        ogb_chirality: uint8 [N], OGB's chirality, which hangs on the order of atoms. ``None``: the column in
            ``atom_codes`` is that one (a store of format 2), or nothing is known of it.
        stereo_unknown: whether the source leaves open what stereochemistry there is; not stored.
        descriptors: float32 [F], RDKit's as they are, NaN where it has no value; their names are in the
            store's metadata. ``None`` in a store that was built without.
        ecfp: uint16 [K, 2], columns of ECFP4 that are not 0 and their counts. ``None`` likewise.
        extra_descriptors: float64 [X], what a table says beside the molecule (temperature, pH ...) in the
            columns that a network's head reads, NaN where a cell is empty. ``None``: it reads none. A store
            has them among its ``targets``.
    """

    source: str
    row: int
    smiles: str
    atom_codes: UInt8Array
    bonds: UInt16Array
    bond_codes: UInt8Array
    coords: Float32Array | None
    coords_from: str
    targets: Float64Array = field(default_factory=lambda: np.empty(0, np.float64))
    ogb_chirality: UInt8Array | None = None
    stereo_unknown: bool = False
    descriptors: Float32Array | None = None
    ecfp: UInt16Array | None = None
    extra_descriptors: Float64Array | None = None

    @property
    def row_id(self) -> str:
        """Identity of the molecule in its source, as reports print it: ``file:row``."""
        return f"{self.source}:{self.row}"

    @property
    def n_atoms(self) -> int:
        """N, the number of heavy atoms."""
        return int(self.atom_codes.shape[0])


@dataclass(frozen=True, slots=True)
class Rejection:
    """An input row that became no molecule, and why. Never lost silently: ``rejected.csv`` holds it."""

    source: str
    row: int
    text: str
    reason: str
