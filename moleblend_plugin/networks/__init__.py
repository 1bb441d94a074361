"""Networks that ship with the package, by name: NAME.pt, NAME.json and NAME.md lie in this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.networks.registry import DEFAULT_NETWORK, BundledNetwork, bundled_networks
    from moleblend_plugin.networks.resolve import find_checkpoint_file

__all__ = ["DEFAULT_NETWORK", "BundledNetwork", "bundled_networks", "find_checkpoint_file"]

__getattr__ = exports(__name__, __file__)
