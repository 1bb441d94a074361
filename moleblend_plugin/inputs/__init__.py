"""Files of molecules: every format, detected from content; folders of parts; standard input."""

from typing import TYPE_CHECKING

from moleblend_plugin.lazy import exports

if TYPE_CHECKING:
    from moleblend_plugin.inputs.folders import expand_folders, parts_in, split_of
    from moleblend_plugin.inputs.geometry import join_geometry
    from moleblend_plugin.inputs.opener import Opened, open_inputs, open_molecules

__all__ = [
    "Opened",
    "expand_folders",
    "join_geometry",
    "open_inputs",
    "open_molecules",
    "parts_in",
    "split_of",
]

__getattr__ = exports(__name__, __file__)
