"""The rooms of the package import only what the design lets them (CONTRIBUTING.md, "Rooms")."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "moleblend_plugin"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
FILES = sorted(ROOT.rglob("*.py"))

# "" is the package itself: its version
COMMON = {"schema", "vocab", "entry", "errors", "files", "locks", "names", "stopping", ""}
ROOMS = {"chem", "data", "models", "losses", "metrics", "host"}  # these know only COMMON and themselves
MAY_IMPORT = {room: COMMON | {room} for room in ROOMS} | {
    "schema": {"vocab"},
    "vocab": set(),
    "entry": set(),
    "errors": set(),
    "files": {"errors"},
    "names": set(),
    "locks": {"errors"},
    "stopping": set(),
    "tasks": COMMON | ROOMS | {"tasks"},
    "inference": COMMON | ROOMS | {"tasks", "inference"},
    "bench": COMMON | ROOMS | {"tasks", "inference", "bench"},
    "cli": COMMON | ROOMS | {"tasks", "inference", "bench", "cli", "estimator"},
    "estimator": COMMON | ROOMS | {"tasks", "inference", "estimator"},
    "": COMMON | {"host", "tasks", "estimator"},  # registers the tasks when a trainer is in charge
}
ONLY_IN = {
    "rdkit": {"chem"},
    "unicore": {"host"},
    "unicore_cli": {"host"},
    "lightning_fabric": {"host"},
    "lmdb": {"data"},
    "pyarrow": {"inference"},
    "msgpack": {"data"},
    "typer": {"cli"},
    "matplotlib": {"cli", "bench"},
}
LONGEST_FILE = 350


def room_of(path: Path) -> str:
    """The room that a file belongs to: its first folder (``data/blend.py``) or itself (``schema.py``)."""
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
        if rest[:2] == ["host", "embedded"] and room != "host":
            found.append(f"line {line}: take it from {PACKAGE}.host, the one border to the trainers")
        elif target not in MAY_IMPORT[room]:
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
def test_a_file_keeps_to_its_room(path):
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
        ("models", "import moleblend_plugin.losses.terms", False),
        ("models", "def f():\n    from rdkit import Chem", False),
        ("chem", "from rdkit import Chem", True),
        ("chem", "from moleblend_plugin import __version__", True),
        ("tasks", "import unicore.tasks", False),
        ("tasks", "from moleblend_plugin.host.embedded.checkpoint import read_checkpoint", False),
        ("tasks", "from moleblend_plugin.host import read_checkpoint", True),
        ("host", "from unicore.tasks import UnicoreTask", True),
        ("tasks", "from moleblend_plugin import models, losses, data, host", True),
        ("tasks", "from moleblend_plugin.cli import main", False),
        ("data", "import numpy as np", True),
    ],
)
def test_the_rules_tell_good_imports_from_bad(room, line, allowed):
    assert (forbidden_imports(line, room, f"{PACKAGE}.{room}") == []) is allowed


def test_the_check_of_types_tells_typed_from_untyped():
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
    ],
)
def test_importing_stays_light(module, absent):
    """A fact about what is loaded, in a fresh process, because every command line pays for it."""
    code = f"import sys, {module}; print(*sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_every_room_is_a_package_that_an_installation_carries():
    folders = {path.parent for path in FILES}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
