"""Which trainer runs this process. Standard library only, so that asking costs nothing."""

from __future__ import annotations

import os
import sys
from typing import Literal, cast

from moleblend_plugin.errors import MoleblendError

Host = Literal["unicore", "embedded"]

_HOSTS = ("unicore", "embedded")
_in_charge: Host | None = None


def take_charge(host: Host | None) -> None:
    """State that ``host`` trains in this process (the embedded trainer calls this; ``None`` undoes it)."""
    global _in_charge
    _in_charge = host


def requested_host() -> Host | None:
    """The host that the environment variable ``MOLEBLEND_HOST`` asks for, ``None`` where it is not set.

    Raises:
        MoleblendError: the variable names no host.
    """
    value = os.environ.get("MOLEBLEND_HOST", "")
    if value and value not in _HOSTS:
        raise MoleblendError(
            f"MOLEBLEND_HOST={value!r} names no host: set it to 'unicore' or 'embedded', or unset it"
        )
    return cast("Host", value) if value else None


def trainer_in_charge() -> Host | None:
    """The trainer that runs this process, ``None`` for a plain library import.

    Uni-Core imports itself before it imports the plugin, so its presence in ``sys.modules`` tells.
    """
    if _in_charge is not None:
        return _in_charge
    return "unicore" if "unicore" in sys.modules else None


def chosen_host() -> Host:
    """The host whose base classes and registries the plugin uses in this process."""
    return requested_host() or trainer_in_charge() or "embedded"
