"""One file of several networks: a zip archive of their checkpoints, and beside them what combines them.

``ensemble.json`` says what there is, ``member_1.pt`` and so on are ordinary checkpoints, ``forests_*.npz``
the forests of a stack (:mod:`moleblend_plugin.ensembles.forest_arrays`), ``trust.json`` and ``trust.npz``
how far to trust it (:mod:`moleblend_plugin.trust.file`), where that is known. Reading it runs nothing: JSON,
checkpoints through torch's ``weights_only``, arrays without pickle. ``unzip`` gives single members to
whoever wants one.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final, NamedTuple

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.runs.run_files import ENSEMBLE
from moleblend_plugin.trust.file import TrustFile

FORMAT_VERSION: Final = 1

_TRUST: Final = ("trust.json", "trust.npz")
_TRUST_WORDS: Final = "its trust in predictions"

_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
)


class EnsembleFile(NamedTuple):
    """What such a file holds.

    Attributes:
        members: checkpoints, as the bytes of their files.
        stack: plain values of a stack (``inference.stack``), ``None`` without one.
        forests: by kind of baseline, its forests as ``ensembles.forest_arrays.pack`` gives them.
        estimator: how the estimator that made it was set (``inference.estimators.file``), or ``None``.
        trust: what ``trust.file.write_trust`` gave, or ``None``, as in files of before.
    """

    members: tuple[bytes, ...]
    stack: dict[str, Any] | None = None
    forests: dict[str, bytes] = {}
    estimator: dict[str, Any] | None = None
    trust: TrustFile | None = None


def is_ensemble(path: Path) -> bool:
    """Whether a file is one of several networks; ``False`` for what cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return ENSEMBLE in archive.namelist()
    except (OSError, *_UNREADABLE):
        return False


def write_ensemble(path: Path, ensemble: EnsembleFile) -> None:
    """Write the file, which appears in one step.

    Raises:
        MoleblendError: it cannot be written.
    """
    from moleblend_plugin.version import __version__

    about = {
        "format": FORMAT_VERSION,
        "version": __version__,
        "members": len(ensemble.members),
        "stack": ensemble.stack,
        "forests": sorted(ensemble.forests),
        "estimator": ensemble.estimator,
        "trust": ensemble.trust is not None,
    }
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(zipfile.ZipInfo(ENSEMBLE), json.dumps(about, indent=1))
        for number, member in enumerate(ensemble.members, 1):
            archive.writestr(zipfile.ZipInfo(f"member_{number}.pt"), member)
        for kind, packed in sorted(ensemble.forests.items()):
            archive.writestr(zipfile.ZipInfo(f"forests_{kind}.npz"), packed)
        if ensemble.trust is not None:
            archive.writestr(zipfile.ZipInfo(_TRUST[0]), json.dumps(ensemble.trust.about, allow_nan=False))
            archive.writestr(zipfile.ZipInfo(_TRUST[1]), ensemble.trust.arrays)


def read_ensemble(path: Path) -> EnsembleFile:
    """Read what :func:`write_ensemble` wrote; checkpoints and forests still as bytes, whose checksums are
    right.

    Raises:
        MoleblendError: damage, which is named by member, or a newer format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = _about(path, archive)
            count = about["members"]
            members = [
                _piece(path, archive, f"member_{number}.pt", f"member {number} of {count}")
                for number in range(1, count + 1)
            ]
            forests = {
                kind: _piece(path, archive, f"forests_{kind}.npz", f"the forests {kind}")
                for kind in about["forests"]
            }
            trust = _trust(path, archive) if about.get("trust") else None
    except FileNotFoundError as error:
        raise MoleblendError(f"checkpoint {str(path)!r} does not exist: check the path") from error
    except (OSError, *_UNREADABLE) as error:
        raise MoleblendError(f"{str(path)!r} is damaged ({error}): use another copy") from error
    return EnsembleFile(tuple(members), about["stack"], forests, about["estimator"], trust)


def _about(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    about = json.loads(_piece(path, archive, ENSEMBLE, "its description"))
    if isinstance(about, dict) and type(about.get("format")) is int and about["format"] > FORMAT_VERSION:
        raise MoleblendError(
            f"{str(path)!r} was saved by a newer moleblend_plugin ({about.get('version')}): "
            "update the package"
        )
    sound = (
        isinstance(about, dict)
        and type(about.get("format")) is int
        and type(about.get("members")) is int
        and about["members"] > 0
        and isinstance(about.get("stack"), dict | None)
        and isinstance(about.get("estimator"), dict | None)
        and isinstance(about.get("forests"), list)
        and all(isinstance(kind, str) for kind in about["forests"])
    )
    if not sound:
        raise MoleblendError(f"{str(path)!r} does not say what it holds ({ENSEMBLE}): use another copy")
    found: dict[str, Any] = about
    return found


def _trust(path: Path, archive: zipfile.ZipFile) -> TrustFile:
    about, arrays = (_piece(path, archive, name, _TRUST_WORDS) for name in _TRUST)
    return TrustFile(json.loads(about), arrays)


def _piece(path: Path, archive: zipfile.ZipFile, name: str, words: str) -> bytes:
    """One piece, whose checksum is looked at.

    Raises:
        MoleblendError: it is missing or damaged.
    """
    try:
        return archive.read(name)
    except (OSError, *_UNREADABLE) as error:
        raise MoleblendError(f"{str(path)!r}: {words} is damaged ({error}): use another copy") from error
