"""What a package shows of its modules, imported on first use, and module paths that have moved.

``import moleblend_plugin.metrics`` loads none of the room's modules: commands must start quickly. A room's
``__init__`` lists its public names once, as imports for type checkers, and :func:`exports` reads them there.
"""

from __future__ import annotations

import ast
import gc
import importlib
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

REMOVED_IN = "0.2"
"""The version without the old paths: one release after that which moved them (docs/policy.md)."""


def exports(package: str, file: str) -> Callable[[str], object]:
    """The ``__getattr__`` of a package whose names come from its modules.

    Args:
        package: its name.
        file: its ``__init__``. Each ``from package.module import name`` there, which stands under
            ``if TYPE_CHECKING``, makes ``name`` an attribute of the package.
    """

    def look_up(name: str) -> object:
        home = None if name.startswith("__") else listed(package, Path(file)).get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        collecting = gc.isenabled()
        gc.disable()  # what an import makes stays, and the collector would walk over it again and again
        try:
            value = getattr(importlib.import_module(home), name)
        finally:
            if collecting:
                gc.enable()
        setattr(sys.modules[package], name, value)
        return value

    return look_up


@cache
def listed(package: str, file: Path) -> dict[str, str]:
    """The names that ``file`` imports from modules of ``package``, each with its module."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{package}.")
        for alias in node.names
    }


def moved(old: str, new: str) -> None:
    """Let the module path ``old`` stand for ``new`` until the next release, with a ``DeprecationWarning``."""
    message = f"{old} is now {new}; the old path will be removed in version {REMOVED_IN}"
    # Run with -m, its module is __main__ itself, whose warnings Python shows.
    run_itself = sys._getframe(1).f_globals["__name__"] == "__main__"
    warnings.warn(message, DeprecationWarning, stacklevel=2 if run_itself else 3)
    sys.modules[old] = importlib.import_module(new)
