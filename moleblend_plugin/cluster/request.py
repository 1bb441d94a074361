"""What goes to a task of the cluster, and what comes back: plain values, for any version of pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Final, Literal

from moleblend_plugin.version import __version__

Kind = Literal["build", "predict", "embed"]

_PACKAGES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "build": ("rdkit", "numpy"),
    "predict": ("rdkit", "numpy", "torch"),
    "embed": ("rdkit", "numpy", "torch"),
}
"""Packages whose version decides about a result."""


@dataclass(frozen=True)
class Request:
    """One piece of the work.

    Attributes:
        kind: of the work.
        number: which piece, from 1.
        of: pieces in all.
        job: what the work needs to know (``cluster.jobs``).
        paths: files that the machine must see.
        folder: for results, likewise.
        token: of the run: the topic of its news, and the name of a file in ``folder`` that shows that it is
            the same folder on every machine.
        versions: of the packages that decide about the result, where the command was given.
    """

    kind: Kind
    number: int
    of: int
    job: dict[str, Any]
    paths: tuple[str, ...]
    folder: str
    token: str
    versions: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As a dictionary, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Reply:
    """What became of a piece.

    Attributes:
        number: of the piece.
        facts: counts, where it is done.
        error: else why not, in one line.
        again: whether another try may help: the process was lost, not the work refused.
    """

    number: int
    facts: dict[str, Any]
    error: str = ""
    again: bool = False


def versions_here(kind: Kind) -> dict[str, str]:
    """Versions of this package, and of those that decide about the result of the work, on this machine."""
    found = {"moleblend_plugin": __version__}
    for name in _PACKAGES[kind]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found
