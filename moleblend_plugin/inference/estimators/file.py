"""Fitted estimators in one file: the checkpoint of their network, and beside it how they were set.

The file is a checkpoint like any other (``moleblend predict``, ``embed`` and ``score`` take it) with one more
key, ``estimator``, of plain values. It is read with torch's ``weights_only``: a stranger's file runs nothing.
Several networks are an archive of such checkpoints (:mod:`moleblend_plugin.inference.ensemble_file`).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.inference.ensemble_file import is_ensemble, read_ensemble, write_ensemble

if TYPE_CHECKING:
    from moleblend_plugin.inference.predictor import Predictor

KEY: Final = "estimator"
FORMAT_VERSION: Final = 1
"""Version of what stands under ``KEY``."""

_PLAIN: Final = (bool, int, float, str)


ESTIMATORS: Final = {
    "classification": "MoleblendClassifier",
    "multiclass": "MoleblendClassifier",
    "regression": "MoleblendRegressor",
    "mixed": "MoleblendMixed",
}
"""By kind of labels, who loads a model of them."""


_BEFORE: Final[dict[str, Any]] = {"readout": "cls", "molecule_featurizers": "none"}
"""Of files that were saved before these were parameters: how their networks were built."""


class Kept(NamedTuple):
    """What is kept beside the network.

    Attributes:
        params: parameters of the estimator.
        classes: of a classifier of one target, else ``None``.
        two_d: whether labels were two-dimensional.
    """

    params: dict[str, Any]
    classes: Any
    two_d: bool


def write_estimator(path: Path, checkpoint: bytes, kind: str, kept: Kept) -> None:
    """Write an estimator.

    Args:
        path: the file.
        checkpoint: its network, as a checkpoint's bytes.
        kind: "classification", "multiclass", "regression" or "mixed".
        kept: the rest. Parameters that are no plain values, such as a generator, are left out.

    Raises:
        MoleblendError: the file cannot be written.
    """
    import torch

    from moleblend_plugin.host import read_checkpoint
    from moleblend_plugin.version import __version__

    settings = {
        "format": FORMAT_VERSION,
        "version": __version__,
        "kind": kind,
        "params": {name: _plain(value) for name, value in kept.params.items() if _is_plain(value)},
        "classes": None if kept.classes is None else np.asarray(kept.classes).tolist(),
        "object": kept.classes is not None and np.asarray(kept.classes).dtype.kind == "O",
        "two_d": kept.two_d,
    }
    with replacing(path) as temporary:
        temporary.write_bytes(checkpoint)
        if is_ensemble(temporary):
            write_ensemble(temporary, read_ensemble(temporary)._replace(estimator=settings))
            return
        state = read_checkpoint(temporary, ("model", "args"))
        state[KEY] = settings
        packed = io.BytesIO()
        torch.save(state, packed)
        temporary.write_bytes(packed.getvalue())


def read_estimator(path: Path, found: Predictor, kind: str, known: set[str]) -> Kept:
    """Read what :func:`write_estimator` kept, or for a property checkpoint of a training run what its
    options say.

    Args:
        path: the file.
        found: its networks.
        kind: what it must be, "classification", "regression" or "mixed".
        known: names of the estimator's parameters.

    Raises:
        MoleblendError: a model of the other kind, or of a newer format, or a damaged one.
    """
    from moleblend_plugin.host import read_checkpoint

    if ESTIMATORS[found.kind] != ESTIMATORS[kind]:
        other = ESTIMATORS[found.kind]
        raise MoleblendError(f"{str(path)!r} is a model of {found.kind}: load it with {other}.load")
    if is_ensemble(path):
        settings = read_ensemble(path).estimator
    else:
        settings = read_checkpoint(path, ("model", "args")).get(KEY)
    return _kept(path, found, settings, known)


def _kept(
    path: Path,
    found: Predictor,
    kept: Any,  # noqa: ANN401  whatever the file holds
    known: set[str],
) -> Kept:
    args, targets = vars(found.args), len(found.target_names)
    of_classes = found.kind in ("classification", "multiclass")
    if kept is None:  # of a trainer: its options tell
        conversion = args.get("conversion") or {}
        made = conversion.get("conformers") or {}
        trained: dict[str, Any] = {
            "input_mode": args["input_mode"],
            "molecule_featurizers": args.get("molecule_featurizers", "none"),
            "readout": args.get("readout", "cls"),
            "freeze_epochs": args.get("freeze_epochs", 0),
            "conformers": made.get("count", 1 if not conversion else "none"),
            "conformer_method": made.get("method", DEFAULT_METHOD),
        }
        numbered = found.class_names == tuple(map(str, range(found.outputs)))
        named = np.arange(found.outputs) if numbered else np.array(found.class_names)
        classes = (named if found.class_names else np.array([0, 1])) if of_classes and targets == 1 else None
        return Kept(trained, classes, targets > 1)
    damaged = MoleblendError(f"{str(path)!r} holds no sound settings of an estimator: save it again")
    if not isinstance(kept, dict) or type(kept.get("format")) is not int:
        raise damaged
    if kept["format"] > FORMAT_VERSION:
        raise MoleblendError(
            f"{str(path)!r} was saved by a newer moleblend_plugin ({kept.get('version')}): update the package"
        )
    params, classes, two_d = kept.get("params"), kept.get("classes"), kept.get("two_d")
    if not isinstance(params, dict) or not all(_is_plain(value) for value in params.values()):
        raise damaged
    if not isinstance(two_d, bool) or two_d < (targets > 1):
        raise damaged
    needs_classes = of_classes and not two_d
    wanted = len(found.class_names) or 2
    if needs_classes and not (
        isinstance(classes, list)
        and len(classes) == wanted
        and all(type(label) in _PLAIN for label in classes)
    ):
        raise damaged
    unknown = ", ".join(sorted(map(str, set(params) - known)))
    if unknown:
        raise MoleblendError(
            f"{str(path)!r} holds parameters that this version does not know ({unknown}): it was saved by "
            f"moleblend_plugin {kept.get('version')}; use that one"
        )
    labels = np.array(classes, object if kept.get("object") is True else None) if needs_classes else None
    return Kept(_BEFORE | params, labels, two_d)


def _is_plain(value: object) -> bool:
    return value is None or type(value) in _PLAIN or isinstance(value, Path | np.number | np.bool_)


def _plain(value: Any) -> Any:  # noqa: ANN401  one of _is_plain
    if isinstance(value, Path):
        return str(value)
    return value.item() if isinstance(value, np.number | np.bool_) else value
