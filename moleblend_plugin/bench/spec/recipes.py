"""Named presets: what a MoleculeNet set holds, and the numbers with which Uni-Mol fine-tunes on it.

The numbers of the first fifteen are those of Uni-Mol's README (fine-tuning on molecular properties), with
Adam (0.9, 0.99), eps 1e-6, gradient norm 1, polynomial decay, patience 20 and fp16. ``source`` says where a
preset's numbers come from; those that nobody published are marked as chosen here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.names import write_targets
from moleblend_plugin.runs.fine_tuning import optimizer_flags

UNIMOL_README: Final = "Uni-Mol's README"
OURS: Final = "chosen here, no published recipe"


@dataclass(frozen=True, slots=True)
class Training:
    """Numbers of one fine-tuning run.

    Attributes:
        lr: largest learning rate.
        batch: molecules per update.
        epochs: most epochs.
        dropout: of the head (``--head-dropout``).
        warmup: part of all updates in which the learning rate rises.
        patience: epochs without a better validation metric before the run ends.
        weight_decay: of Adam.
        fp16: float16, which needs a GPU.
    """

    lr: float = 1e-4
    batch: int = 32
    epochs: int = 40
    dropout: float = 0.1
    warmup: float = 0.06
    patience: int = 20
    weight_decay: float = 0.0
    fp16: bool = True


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named set.

    Attributes:
        name: as users write it.
        tasks: number of label columns.
        metric: what papers report, and what selects the checkpoint.
        training: numbers of the run.
        targets: label columns of the published table; ("all",) for every numeric column.
        smiles: column of SMILES.
        loss: ``--regression-loss``, empty for classification.
        input_mode: ``--input-mode``.
        conformers: per molecule, for ``moleblend build``; Uni-Mol uses 11.
        split: what papers use, for ``moleblend build --split`` (Uni-Mol's own rows are ``rows:FILE``).
        source: where the numbers come from.
        note: what a user should know about the data.
    """

    name: str
    tasks: int
    metric: str
    training: Training
    targets: tuple[str, ...] = ("all",)
    smiles: str = "smiles"
    loss: str = ""
    input_mode: str = "both"
    conformers: str = "11"
    split: str = "scaffold"
    source: str = UNIMOL_README
    note: str = field(default="")

    @property
    def kind(self) -> ColumnKind:
        """classification or regression."""
        return METRICS[self.metric].kind


_TOX21: Final = (
    *("NR-AR", "NR-AR-LBD", "NR-AhR", "NR-Aromatase", "NR-ER", "NR-ER-LBD", "NR-PPAR-gamma"),
    *("SR-ARE", "SR-ATAD5", "SR-HSE", "SR-MMP", "SR-p53"),
)
_QM8: Final = tuple(f"{kind}-{way}" for way in ("CC2", "PBE0", "CAM") for kind in ("E1", "E2", "f1", "f2"))
_QM7_NOTE: Final = (
    "the published table carries wrong labels from row 5505 on; results with it compare only with each other"
)
_QM8_NOTE: Final = (
    "the published header names E1-PBE0 ... f2-PBE0 twice: rename the second four before building"
)
_MISSING: Final = "most labels are missing: empty cells stay missing, never 0"
_CONFLICTS: Final = (
    "some SMILES do not parse and some molecules occur twice with other labels: see moleblend splits"
)


def _run(lr: float, batch: int, epochs: int, dropout: float, warmup: float) -> Training:
    return Training(lr=lr, batch=batch, epochs=epochs, dropout=dropout, warmup=warmup)


_ALL: Final = (
    Recipe("bbbp", 1, "roc_auc", _run(4e-4, 128, 40, 0, 0.06), ("p_np",), note=_CONFLICTS),
    Recipe("bace", 1, "roc_auc", _run(1e-4, 64, 60, 0.1, 0.06), ("Class",), "mol"),
    Recipe(
        "clintox", 2, "roc_auc", _run(5e-5, 256, 100, 0.5, 0.1), ("FDA_APPROVED", "CT_TOX"), note=_CONFLICTS
    ),
    Recipe("tox21", 12, "roc_auc", _run(1e-4, 128, 80, 0.1, 0.06), _TOX21),
    Recipe("toxcast", 617, "roc_auc", _run(1e-4, 64, 80, 0.1, 0.06), note=_MISSING),
    Recipe("sider", 27, "roc_auc", _run(5e-4, 32, 80, 0, 0.1)),
    Recipe("hiv", 1, "roc_auc", _run(5e-5, 256, 5, 0.2, 0.1), ("HIV_active",)),
    Recipe("pcba", 128, "roc_auc", _run(1e-4, 128, 20, 0.1, 0.06), note=_MISSING),
    Recipe("muv", 17, "roc_auc", _run(2e-5, 128, 40, 0, 0), note=_MISSING),
    Recipe(
        "esol",
        1,
        "rmse",
        _run(5e-4, 256, 100, 0.2, 0.06),
        ("measured log solubility in mols per litre",),
        loss="mse",
    ),
    Recipe("freesolv", 1, "rmse", _run(8e-5, 64, 60, 0.2, 0.1), ("expt",), loss="mse"),
    Recipe("lipo", 1, "rmse", _run(1e-4, 32, 80, 0.1, 0.06), ("exp",), loss="mse"),
    Recipe("qm7", 1, "mae", _run(3e-4, 32, 100, 0, 0.06), ("u0_atom",), loss="smooth_l1", note=_QM7_NOTE),
    Recipe("qm8", 12, "mae", _run(1e-4, 32, 40, 0, 0.06), _QM8, loss="smooth_l1", note=_QM8_NOTE),
    Recipe(
        "qm9",
        3,
        "mae",
        _run(1e-4, 128, 40, 0, 0.06),
        ("homo", "lumo", "gap"),
        loss="smooth_l1",
        note="say whether the 3D input is the DFT geometry (an SDF with tags) or RDKit's (a table of SMILES)",
    ),
    Recipe(
        "pcqm4mv2",
        1,
        "mae",
        _run(1e-4, 256, 20, 0, 0.06),
        ("homolumogap",),
        loss="mae",
        input_mode="2d",
        conformers="none",
        split="random",
        source=OURS,
        note="gap in eV; DFT geometry exists for the training molecules only, so 2D input is shown in "
        "training and validation alike; with --input-mode both, give RDKit's conformers to both",
    ),
    Recipe(
        "malaria",
        1,
        "rmse",
        _run(1e-4, 64, 60, 0.1, 0.06),
        ("activity",),
        loss="mse",
        split="random",
        source=OURS,
    ),
    Recipe(
        "cep", 1, "rmse", _run(1e-4, 64, 60, 0.1, 0.06), ("PCE",), loss="mse", split="random", source=OURS
    ),
)

RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in _ALL}


def recipe_of(name: str) -> Recipe:
    """The preset of a name; case does not matter.

    Raises:
        MoleblendError: there is none.
    """
    found = RECIPES.get(name.lower())
    if found is None:
        close = difflib.get_close_matches(name.lower(), RECIPES, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise MoleblendError(f"no recipe is named {name!r}: {hint}choose from {', '.join(RECIPES)}")
    return found


def train_flags(
    kind: ColumnKind, metric: str, loss: str, training: Training, targets: tuple[str, ...], input_mode: str
) -> list[str]:
    """Arguments of ``unicore-train`` after the data folder: task, loss, inputs and numbers.

    Args:
        kind: classification or regression.
        metric: what selects the checkpoint.
        loss: ``--regression-loss``; not used in classification.
        training: the numbers.
        targets: columns, ("all",) for those of the store.
        input_mode: 2d, 3d or both.
    """
    flags = ["--task", "moleblend_property", "--loss", f"moleblend_{kind}"]
    if targets != ("all",):
        flags += ["--target-columns", write_targets(targets)]
    flags += ["--input-mode", input_mode]
    if kind == "regression":
        flags += ["--regression-loss", loss or "mse"]
    flags += [
        *("--head-dropout", f"{training.dropout:g}", "--batch-size", str(training.batch)),
        *optimizer_flags(f"{training.lr:g}", f"{training.warmup:g}", f"{training.weight_decay:g}"),
        *("--max-epoch", str(training.epochs), "--patience", str(training.patience)),
        *("--best-checkpoint-metric", metric),
    ]
    if METRICS[metric].rises:
        flags.append("--maximize-best-checkpoint-metric")
    if training.fp16:
        flags.append("--fp16")
    return flags
