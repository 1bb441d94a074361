"""What users import: the names of every room, the paths that have moved, the version."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

import moleblend_plugin
from moleblend_plugin import lazy

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    "",
    ".chem",
    ".splits",
    ".inputs",
    ".building",
    ".data",
    ".data.store",
    ".models",
    ".losses",
    ".metrics",
)
ROOMS += (".trust", ".inference", ".report", ".explain", ".bench", ".host")
MOVED = {
    "moleblend_plugin.tasks.losses": "moleblend_plugin.tasks.pretrain.loss",
    "moleblend_plugin.host.embedded.main": "moleblend_plugin.trainer.main",
}


def room(name: str) -> ModuleType:
    return importlib.import_module(f"moleblend_plugin{name}")


@pytest.mark.parametrize("name", ROOMS)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    module = room(name)
    assert module.__all__
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), f"{name}.{public}"
            assert value.__name__ == public or name == ".host"


@pytest.mark.parametrize("name", [room for room in ROOMS if room != ".host"])
def test_what_type_checkers_see_is_what_is_listed(name: str) -> None:
    module = room(name)
    seen = lazy.listed(module.__name__, Path(str(module.__file__)))
    assert set(module.__all__) - {"__version__"} <= set(seen)
    assert name == "" or set(seen) == set(module.__all__)


@pytest.mark.parametrize("name", ROOMS[1:])
def test_no_public_name_hides_a_module(name: str) -> None:
    modules = {found.name for found in pkgutil.iter_modules(room(name).__path__)}
    assert modules & set(room(name).__all__) == set()


def test_a_room_that_is_imported_loads_none_of_its_modules() -> None:
    code = "import sys, moleblend_plugin.metrics, moleblend_plugin.data; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'moleblend_plugin\.metrics' has no attribute 'scoer'"):
        room(".metrics").scoer  # noqa: B018
    with pytest.raises(ImportError, match="scoer"):
        exec("from moleblend_plugin.metrics import scoer")


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_path_that_moved_is_the_new_module_and_says_so(old: str, new: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}; .* version {lazy.REMOVED_IN}") as told:
        assert importlib.import_module(old) is importlib.import_module(new)
    assert len(told) == 1


def test_old_paths_go_with_the_version_that_the_warning_names() -> None:
    numbers = [tuple(map(int, v.split("."))) for v in (moleblend_plugin.__version__, lazy.REMOVED_IN)]
    assert numbers[0][:2] < numbers[1], f"remove lazy.moved and the modules {', '.join(MOVED)}"


def test_the_path_of_stores_stays() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from moleblend_plugin.data.store import MoleculeStore
    assert MoleculeStore.__module__ == "moleblend_plugin.data.store.reader"


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("moleblend_plugin", "moleblend"),
        ("moleblend_plugin.trainer.main", "moleblend-train"),
        ("moleblend_plugin.host.embedded.main", "moleblend-train"),
    ],
)
def test_modules_that_are_commands_say_their_version(module: str, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{command} {moleblend_plugin.__version__}\n"
