"""The registry of bundled networks: which there are, what is known of each, and whether its file is sound.

A network is three files in this folder: ``NAME.pt`` (weights and options of a checkpoint), ``NAME.json`` (its
entry: :class:`BundledNetwork`) and ``NAME.md`` (its model card). ``tools/bundle_network.py`` writes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import sha256_of

DEFAULT_NETWORK: Final = "moleblend-tiny"
"""Where the estimators and ``moleblend embed`` start from, and what :data:`DEFAULT` stands for."""

DEFAULT: Final = "default"
"""The word that stands for :data:`DEFAULT_NETWORK` wherever a checkpoint is named."""

FOLDER: Final = Path(__file__).resolve().parent
LARGEST: Final = 15_000_000
"""Bytes of the largest file of weights that the package carries."""

CARD_HEADINGS: Final = (
    *("Data", "Exclusions", "Training", "Compute", "Scores", "Limits", "Licence", "Citation", "File"),
)
"""Sections of every model card."""

_REINSTALL: Final = "install the package again (pip install --force-reinstall)"


@dataclass(frozen=True, slots=True)
class BundledNetwork:
    """The entry of a network.

    Attributes:
        name: names it wherever a checkpoint is named; it stands for the same bytes in every version.
        summary: what it is, one line.
        arch: ``--arch`` of its training.
        weights: how many numbers it holds.
        size: bytes of its file.
        sha256: checksum of its file.
        probe_smiles: a molecule.
        probe_vector: mean embedding of the molecule's atoms from its 2D graph, float32 [D].
    """

    name: str
    summary: str
    arch: str
    weights: int
    size: int
    sha256: str
    probe_smiles: str
    probe_vector: tuple[float, ...]

    @property
    def path(self) -> Path:
        """Its checkpoint."""
        return FOLDER / f"{self.name}.pt"

    @property
    def card(self) -> Path:
        """Its model card."""
        return FOLDER / f"{self.name}.md"

    def find_damage(self) -> str | None:
        """What is wrong with the file of weights, ``None`` for nothing."""
        try:
            size = self.path.stat().st_size
        except OSError as error:
            return f"{self.path} cannot be read ({error.strerror})"
        if size != self.size:
            return f"{self.path} has {size:,} bytes in place of {self.size:,}"
        found = sha256_of(self.path)
        if found != self.sha256:
            return f"{self.path} has the sha256 {found[:12]}... in place of {self.sha256[:12]}..."
        return None

    def verified(self) -> Path:
        """Its checkpoint, which is the file that was released.

        Raises:
            MoleblendError: it is missing, damaged or another one.
        """
        if (damage := self.find_damage()) is not None:
            raise MoleblendError(f"bundled network {self.name!r} is damaged: {damage}; {_REINSTALL}")
        return self.path


def bundled_networks() -> dict[str, BundledNetwork]:
    """Entries by name, the default network first.

    Raises:
        MoleblendError: an entry cannot be read.
    """
    found = {path.stem: _read_entry(path) for path in sorted(FOLDER.glob("*.json"))}
    return dict(sorted(found.items(), key=lambda item: item[0] != DEFAULT_NETWORK))


def default_network() -> BundledNetwork:
    """The entry of :data:`DEFAULT_NETWORK`.

    Raises:
        MoleblendError: the installation lacks it.
    """
    found = bundled_networks().get(DEFAULT_NETWORK)
    if found is None:
        raise MoleblendError(f"this installation lacks the network {DEFAULT_NETWORK!r}: {_REINSTALL}")
    return found


def _read_entry(path: Path) -> BundledNetwork:
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        entry["probe_vector"] = tuple(entry["probe_vector"])
        network = BundledNetwork(**entry)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise MoleblendError(f"{path} is damaged ({error}): {_REINSTALL}") from error
    if network.name != path.stem:
        raise MoleblendError(f"{path} is the entry of {network.name!r}: {_REINSTALL}")
    return network


def write_entry(network: BundledNetwork, path: Path) -> None:
    """Write the entry as :func:`bundled_networks` reads it."""
    entry = {item.name: getattr(network, item.name) for item in fields(network)}
    path.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
