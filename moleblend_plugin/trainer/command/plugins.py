"""Importing what registers tasks, models and losses: this plugin, and a folder named by ``--user-dir``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.launch import OWN_FOLDER, PACKAGE


def import_plugins(user_dir: str | None) -> None:
    """Import this plugin's tasks and then the plugin in ``user_dir``, once each.

    Args:
        user_dir: a folder; ``None``, the name of this package or its folder add nothing.

    Raises:
        MoleblendError: the folder is missing, is no package, or its name is taken.
    """
    importlib.import_module(f"{PACKAGE}.tasks.registered")
    if user_dir is None:
        return
    folder = Path(user_dir).resolve()
    if folder == OWN_FOLDER or (user_dir.rstrip("/\\") == PACKAGE and not folder.exists()):
        return
    if not folder.is_dir():
        raise MoleblendError(f"--user-dir {user_dir!r} is not a folder: give the folder of a plugin package")
    if not (folder / "__init__.py").is_file():
        raise MoleblendError(
            f"--user-dir {user_dir!r} has no __init__.py: give the folder of a Python package"
        )
    loaded = sys.modules.get(folder.name)
    if loaded is not None:
        if Path(loaded.__file__ or "").resolve().parent == folder:
            return
        remedy = "rename the folder"
        if folder.name == PACKAGE:
            remedy = "two copies of this package: pip install -e . this one, or leave --user-dir out"
        raise MoleblendError(
            f"--user-dir {user_dir!r}: another module {folder.name!r} is loaded already, from "
            f"{loaded.__file__}: {remedy}"
        )
    sys.path.insert(0, str(folder.parent))
    importlib.import_module(folder.name)
