"""A :class:`Trust` as plain values for JSON and bytes of an ``.npz`` without pickle; reading runs nothing."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from moleblend_plugin.chem.identity.fingerprints import ECFP_BITS
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.trust.calibration import Platt
from moleblend_plugin.trust.domain import Domain
from moleblend_plugin.trust.intervals import ErrorLine
from moleblend_plugin.trust.model import Calibration, Trust
from moleblend_plugin.trust.temperature import Temperature
from moleblend_plugin.version import __version__

FORMAT_VERSION: Final = 1

_UNSOUND: Final = "what it says of its trust in predictions is not sound: save the model again"

_KINDS: Final = {
    "fingerprints": "u1",
    "domain_rows": "i8",
    "rows": "i8",
    "targets": "f8",
    "predictions": "f8",
    "similarity": "f8",
}
"""Types of the arrays."""


class TrustFile(NamedTuple):
    """A trust as it lies in a file.

    Attributes:
        about: plain values.
        arrays: bytes of an ``.npz``.
    """

    about: dict[str, Any]
    arrays: bytes


def write_trust(trust: Trust) -> TrustFile:
    """The trust for a file."""
    domain, held = trust.domain, trust.calibration
    arrays: dict[str, npt.NDArray[Any]] = {"fingerprints": domain.fingerprints, "domain_rows": domain.rows}
    about: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "version": __version__,
        "kind": trust.kind,
        "names": list(trust.names),
        "classes": list(trust.classes),
        "smiles": list(domain.smiles),
        "threshold": None if math.isnan(domain.threshold) else domain.threshold,
        "calibration": None,
    }
    if trust.kinds:
        about["kinds"] = list(trust.kinds)
    if held is not None:
        arrays |= {name: getattr(held, name) for name in ("rows", "targets", "predictions", "similarity")}
        about["calibration"] = {
            "source": held.source,
            "lines": [list(line) for line in held.lines],
            "maps": [list(map_) for map_ in held.maps],
            "error_after": [None if math.isnan(value) else value for value in held.error_after],
        }
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    return TrustFile(about, packed.getvalue())


def read_trust(kept: TrustFile) -> Trust:
    """From what :func:`write_trust` gave.

    Raises:
        MoleblendError: something is missing, damaged or does not fit, or of a newer format.
    """
    about = kept.about
    if not isinstance(about, dict) or type(about.get("format")) is not int:
        raise MoleblendError(_UNSOUND)
    if about["format"] > FORMAT_VERSION:
        raise MoleblendError(
            "what it says of its trust in predictions is of a newer moleblend_plugin "
            f"({about.get('version')}): update the package"
        )
    try:
        return _read(about, kept.arrays)
    except MoleblendError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError) as error:
        raise MoleblendError(_UNSOUND) from error
    except (BadZipFile, zlib.error) as error:
        raise MoleblendError(f"its arrays of trust are damaged ({error}): use another copy") from error


def _read(about: dict[str, Any], packed: bytes) -> Trust:
    with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    names = tuple(about["names"])
    smiles = tuple(about["smiles"])
    threshold = math.nan if about["threshold"] is None else float(about["threshold"])
    domain = Domain(arrays["fingerprints"], arrays["domain_rows"], smiles, threshold)
    held = about["calibration"]
    calibration = None
    if held is not None:
        calibration = Calibration(
            source=held["source"],
            rows=arrays["rows"],
            targets=arrays["targets"],
            predictions=arrays["predictions"],
            similarity=arrays["similarity"],
            lines=tuple(ErrorLine(float(base), float(slope)) for base, slope in held["lines"]),
            maps=tuple(_map(numbers, about["kind"]) for numbers in held["maps"]),
            error_after=tuple(math.nan if value is None else float(value) for value in held["error_after"]),
        )
    kinds = tuple(about.get("kinds", ()))
    found = Trust(about["kind"], names, domain, calibration, tuple(about["classes"]), kinds)
    if not _is_sound(found, arrays):
        raise MoleblendError(_UNSOUND)
    return found


def _map(numbers: Sequence[float], kind: str) -> Platt | Temperature:
    """A calibration map of a model of a kind."""
    if kind == "multiclass":
        (value,) = numbers
        return Temperature(float(value))
    slope, offset = numbers
    return Platt(float(slope), float(offset))


def _is_sound(trust: Trust, arrays: dict[str, npt.NDArray[Any]]) -> bool:
    """Whether types, shapes and numbers fit together."""
    n, names, domain, held = len(trust.domain.smiles), trust.names, trust.domain, trust.calibration
    plain = [*names, *domain.smiles]
    if not (
        all(arrays[name].dtype == np.dtype(kind) for name, kind in _KINDS.items() if name in arrays)
        and (set(trust.kinds) <= {"classification", "regression"})
        and (trust.kind in ("classification", "multiclass", "regression", "mixed"))
        and len(trust.kinds) == (len(names) if trust.kind == "mixed" else 0)
        and len(names) > 0
        and all(isinstance(text, str) for text in plain)
        and all(type(label) in (bool, int, float, str) for label in trust.classes)
        and (len(names) == 1 if trust.kind == "multiclass" else len(trust.classes) == 2)
        and domain.fingerprints.shape == (n, ECFP_BITS // 8)
        and domain.rows.shape == (n,)
    ):
        return False
    if held is None:
        return True
    rows, shape = len(held.rows), (len(held.rows), len(names))
    several = trust.kind == "multiclass"
    predicted = (rows, len(trust.classes)) if several else shape
    values, classes = len(trust.places("regression")), 1 if several else len(trust.places("classification"))
    numbers = [number for group in (held.lines, held.maps) for item in group for number in item]
    return (
        held.source in ("folds", "scaffold folds", "validation")
        and held.rows.shape == (rows,)
        and held.targets.shape == shape
        and held.predictions.shape == predicted
        and held.similarity.shape == (rows,)
        and len(held.lines) == values
        and len(held.maps) == len(held.error_after) == classes
        and all(map(math.isfinite, numbers))
        and all(line.base > 0 and line.slope >= 0 for line in held.lines)
        and all(map_.value > 0 for map_ in held.maps if isinstance(map_, Temperature))
    )
