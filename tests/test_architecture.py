"""The rooms of the package import only what the design lets them (CONTRIBUTING.md, "Rooms")."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "moleblend_plugin"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
FILES = sorted(ROOT.rglob("*.py"))

GROUND = {
    *("version", "schema", "vocab", "label_kinds", "entry", "errors", "files", "lazy", "locks", "names"),
    "stopping",
}
FLOORS: dict[str, set[str]] = {  # from the ground up: a room imports GROUND, itself and what is named here
    "version": set(),
    "vocab": set(),
    "schema": {"vocab"},
    "label_kinds": {"schema"},
    "entry": set(),
    "errors": set(),
    "files": {"errors"},
    "lazy": set(),
    "names": set(),
    "locks": {"errors"},
    "stopping": set(),
    "chem": set(),
    "splits": {"chem"},
    "baselines": {"chem"},
    "data": set(),
    "inputs": {"chem", "splits", "data"},
    "building": {"chem", "splits", "data", "inputs"},
    "simd": set(),
    "models": {"simd"},
    "losses": {"simd"},
    "metrics": set(),
    "networks": set(),
    "runs": {"networks"},
    "trainer": {"networks", "runs"},
    "host": {"runs", "trainer"},
    "tasks": {"data", "models", "losses", "metrics", "networks", "runs", "host"},
    "ensembles": set(),
    "trust": {"chem"},
    "inference": {
        *("chem", "baselines", "data", "inputs", "models", "metrics", "networks", "runs", "host", "tasks"),
        *("ensembles", "trust"),
    },
    "estimator": {"networks", "trust", "inference"},
    "cluster": {"chem", "data", "inputs", "building", "networks", "inference"},
    "report": {"losses", "metrics", "runs"},
    "explain": {"chem", "models", "inference", "report"},
    "bench": {
        *(
            "chem",
            "splits",
            "baselines",
            "data",
            "inputs",
            "building",
            "metrics",
            "networks",
            "runs",
            "tasks",
        ),
        *("ensembles", "inference", "report"),
    },
    "fitting": {
        *("chem", "splits", "baselines", "inputs", "metrics", "networks", "runs", "host", "inference"),
        *("estimator", "report", "trust"),
    },
    "serving": {"chem", "inputs", "networks", "inference", "explain"},
    "tuning": {"splits", "ensembles", "metrics", "inference", "report", "fitting"},
    "cli": {
        *("chem", "splits", "data", "inputs", "building", "models", "metrics", "networks", "runs", "tasks"),
        *("inference", "cluster", "report", "bench", "estimator", "fitting", "explain", "serving", "tuning"),
    },
    "__main__": {"cli"},
    # The package itself: registers the tasks when a trainer is in charge, offers build and the estimators.
    "": {"runs", "tasks", "building", "estimator"},
}
MAY_IMPORT = {room: below | {room} | (set() if room in GROUND else GROUND) for room, below in FLOORS.items()}
DOORS = (
    *("cli", "host", ""),
    *("trainer/main.py", "trainer/__main__.py"),
    "cluster/jobs.py",  # torch where a network works
    "bench/run/cell_process.py",  # one process, one kind of model
    "inference/estimators/network.py",  # torch with the first fit
    "losses/cross_entropy.py",  # Numba on a CPU
    "models/parts/kernels.py",  # Triton on a GPU
)
"""Rooms and files whose functions may import their own room: what starts quickly must not load all of it."""
ONLY_IN = {
    "rdkit": {"chem", "splits"},
    "unicore": {"host"},
    "unicore_cli": {"host"},
    "lightning_fabric": {"trainer"},
    "lmdb": {"data"},
    "llvmlite": {"simd"},
    "pyarrow": {"chem", "inference"},
    "msgpack": {"data"},
    "sqlite3": {"building"},
    "typer": {"cli"},
    "fastapi": {"serving", "cli"},
    "uvicorn": {"serving", "cli"},
    "matplotlib": {"cli", "report", "bench", "fitting", "tuning"},
    "optuna": {"tuning"},
    "sqlalchemy": {"tuning"},
    "distributed": {"cluster"},
    "dask": {"cluster"},
}
LONGEST_FILE = 350


def module_of(path: Path) -> str:
    """``moleblend_plugin.data.rng`` for the file of that module."""
    parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def module_behind(name: str) -> str:
    """The module that holds ``name``: itself, or that of its longest beginning."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def room_of(path: Path) -> str:
    """The room of a file: its first folder (``data/samples/blend.py``) or itself (``schema.py``)."""
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_names(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """(line, absolute module name) of every import, wherever it stands; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: -node.level + 1 or None] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def forbidden_imports(source: str, room: str, package: str) -> list[str]:
    """What a file of this room imports and may not."""
    found = []
    for line, name in imported_names(ast.parse(source), package):
        top, *rest = name.split(".")
        if top != PACKAGE:
            if room not in ONLY_IN.get(top, {room}):
                found.append(f"line {line}: {top} belongs in {', '.join(sorted(ONLY_IN[top]))}/")
            continue
        target = (
            rest[0]
            if rest and (ROOT / rest[0]).is_dir() or rest and (ROOT / f"{rest[0]}.py").exists()
            else ""
        )
        if target not in MAY_IMPORT[room]:
            found.append(f"line {line}: {room or PACKAGE} may not import {name}")
    return found


def untyped_functions(source: str) -> list[str]:
    """Functions with an argument or a result without a type."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            extra = [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
            bare = [a.arg for a in arguments + extra if a.annotation is None and a.arg not in ("self", "cls")]
            if bare or node.returns is None:
                found.append(f"line {node.lineno}: {node.name}({', '.join(bare)})")
    return found


def package_of(path: Path) -> str:
    return ".".join([PACKAGE, *path.relative_to(ROOT).parent.parts])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_keeps_to_its_room(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert room_of(path) in MAY_IMPORT, "a new room: say in this test what it may import"
    assert forbidden_imports(source, room_of(path), package_of(path)) == []
    assert untyped_functions(source) == []
    assert source.count("\n") <= LONGEST_FILE, "split the file"


@pytest.mark.parametrize(
    ("room", "line", "allowed"),
    [
        ("models", "from moleblend_plugin.schema import Shown", True),
        ("models", "from moleblend_plugin import schema, vocab", True),
        ("models", "from moleblend_plugin import data", False),
        ("models", "from .. import data", False),
        ("models", "from ..data.collate import collate", False),
        ("models", "from .encoder import Encoder", True),
        ("models", "import moleblend_plugin.losses.pretrain", False),
        ("models", "def f():\n    from rdkit import Chem", False),
        ("chem", "from rdkit import Chem", True),
        ("chem", "from moleblend_plugin.version import __version__", True),
        ("chem", "from moleblend_plugin import __version__", False),
        ("tasks", "import unicore.tasks", False),
        ("tasks", "from moleblend_plugin.trainer.checkpoints.file import read_checkpoint", False),
        ("tasks", "from moleblend_plugin.host import read_checkpoint", True),
        ("host", "from unicore.tasks import UnicoreTask", True),
        ("tasks", "from moleblend_plugin import models, losses, data, host", True),
        ("tasks", "from moleblend_plugin.cli import main", False),
        ("data", "import numpy as np", True),
    ],
)
def test_the_rules_tell_good_imports_from_bad(room: str, line: str, allowed: bool) -> None:
    assert (forbidden_imports(line, room, f"{PACKAGE}.{room}") == []) is allowed


def test_the_check_of_types_tells_typed_from_untyped() -> None:
    typed = "class A:\n    def f(self, a: int, *b: int, c: int = 1, **d: int) -> None: ..."
    assert untyped_functions(typed) == []
    for change in (
        (" a: int", " a"),
        ("*b: int", "*b"),
        ("c: int", "c"),
        ("**d: int", "**d"),
        (" -> None", ""),
    ):
        assert len(untyped_functions(typed.replace(*change))) == 1, change


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("moleblend_plugin", {"numpy", "torch", "rdkit", "numba", "lmdb", "lightning_fabric", "unicore"}),
        (
            "moleblend_plugin.cli.main",
            {"torch", "rdkit", "numba", "matplotlib", "lightning_fabric", "unicore"},
        ),
        ("moleblend_plugin.report.run_log", {"torch", "rdkit", "numba", "matplotlib", "sklearn"}),
    ],
)
def test_importing_stays_light(module: str, absent: set[str]) -> None:
    """A fact about what is loaded, in a fresh process, because every command line pays for it."""
    code = f"import sys, {module}; print(*sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_every_room_is_a_package_that_an_installation_carries() -> None:
    folders = {path.parent for path in FILES}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def import_graph() -> dict[str, set[str]]:
    """By module, those of ours that it imports, at its top or in a function, also for types only."""
    graph = {}
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = imported_names(tree, package_of(path))
        graph[module] = {module_behind(name) for _, name in names if name.split(".")[0] == PACKAGE} - {module}
    return graph


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Modules of one circle of imports, in its order; [] where there is none."""
    finished: set[str] = set()

    def walk(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module not in finished:
            for other in sorted(graph[module]):
                if found := walk(other, [*way, module]):
                    return found
            finished.add(module)
        return []

    return next((found for module in sorted(graph) if (found := walk(module, []))), [])


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = import_graph()
    assert len(graph) > 200
    assert circle_in(graph) == []


def test_the_walk_finds_a_circle() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def late_imports(source: str, room: str, package: str) -> list[str]:
    """Imports of the room's own modules inside functions."""
    return [
        f"line {line}: import {name} at the top"
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef)
        for line, name in imported_names(function, package)
        if name.startswith(f"{PACKAGE}.{room}.")
    ]


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if room_of(p) not in DOORS and p.relative_to(ROOT).as_posix() not in DOORS],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_room_imports_itself_at_the_top(path: Path) -> None:
    assert late_imports(path.read_text(encoding="utf-8"), room_of(path), package_of(path)) == []


def test_a_late_import_is_found() -> None:
    late = "def f():\n    from moleblend_plugin.chem.codes import encode"
    assert len(late_imports(late, "chem", f"{PACKAGE}.chem")) == 1
    assert late_imports(late, "splits", f"{PACKAGE}.splits") == []
