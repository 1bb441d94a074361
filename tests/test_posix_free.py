"""Windows has no fcntl, no SIGALRM, no fork: seen from this package's modules, neither has this Python."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "moleblend_plugin"

WINDOWS = """
import builtins, signal, sys, types
MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"}
KEPT = set(
    "SIGABRT SIGFPE SIGILL SIGINT SIGSEGV SIGTERM SIG_DFL SIG_IGN Signals signal getsignal raise_signal "
    "default_int_handler set_wakeup_fd".split()
)
ABSENT = {
    "signal": {name for name in dir(signal) if name not in KEPT and not name.startswith("__")},
    "os": set(
        "fork forkpty killpg getpgid getpgrp setsid setpgid nice getloadavg sysconf uname wait wait3 wait4 "
        "sched_getaffinity sched_setaffinity register_at_fork getuid geteuid mkfifo chown pread pwrite "
        "posix_fadvise statvfs O_NOFOLLOW O_DIRECTORY".split()
    ),
    "sys": set(),
}
TOLD = {("sys", "platform"): "win32", ("os", "name"): "nt"}

class Narrow(types.ModuleType):
    def __init__(self, real):
        super().__init__(real.__name__)
        self.__dict__["_real"] = real
    def __getattr__(self, name):
        real = self.__dict__["_real"]
        if name in ABSENT[real.__name__]:
            raise AttributeError(f"{real.__name__}.{name} is not on Windows")
        return TOLD.get((real.__name__, name)) or getattr(real, name)
    def __setattr__(self, name, value):
        setattr(self.__dict__["_real"], name, value)

plain, narrow = builtins.__import__, {}

def load(name, globals=None, locals=None, fromlist=(), level=0):
    ours = ((globals or {}).get("__name__") or "").split(".")[0] == "moleblend_plugin"
    if ours and name in MODULES:
        raise ModuleNotFoundError(f"No module named {name!r}")
    module = plain(name, globals, locals, fromlist, level)
    if ours and level == 0 and name in ABSENT:
        return narrow.setdefault(name, Narrow(module))
    return module

builtins.__import__ = load
"""

WORK = """
import sys
from pathlib import Path
from moleblend_plugin.cli.main import main
from moleblend_plugin.trainer.main import main as train

def run(*words):
    try:
        main([str(word) for word in words])
    except SystemExit as done:
        assert not done.code, words

if __name__ == "__main__":
    table = Path("a.csv")
    table.write_text("smiles,y\\n" + "".join(f"{'C' * n}O,{n}\\n" for n in range(1, 21)))
    words = [table, "--out", "s", "--conformers", "none", "--target-columns", "y", "--split", "random"]
    run("build", *words, "--workers", 2)
    for number in (2, 1):
        run("build", *words, "--workers", 1, "--out", "p", "--piece", f"{number}/2")
    run("join", "p", "--out", "joined")
    run("export", "joined", "--out", "x")
    run("splits", "s")
    run("images", "s", "--workers", 1, "--image-size", 32)
    words = ["s", "--task", "moleblend_property", "--arch", "moleblend_property_tiny", "--batch-size", "8",
             "--loss", "moleblend_regression", "--input-mode", "2d", "--cpu", "--save-dir", "r"]
    assert train([*words, "--num-workers", "1", "--max-epoch", "1"]) == 0
    assert train([*words, "--num-workers", "0", "--max-epoch", "2"]) == 0
    run("predict", "r/checkpoint_last.pt", table, "--out", "p.csv", "--workers", 1)
    run("embed", "r/checkpoint_last.pt", table, "--out", "e.npz", "--workers", 1)
    import moleblend_plugin.cli.bench
    from moleblend_plugin.bench.run import cell_process, runner, usage
    assert usage.cpu_seconds() > 0
    assert not cell_process.leads_group()
    from moleblend_plugin import MoleblendRegressor
    model = MoleblendRegressor(arch="tiny", checkpoint=None, input_mode="2d", epochs=1)
    fitted = model.fit(["C" * n + "O" for n in range(1, 13)], list(range(12)))
    assert len(fitted.predict(["CCO"])) == 1
    print("done")
"""


def test_everything_works_without_what_only_posix_has(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WINDOWS)
    (tmp_path / "work.py").write_text(WORK)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "OMP_NUM_THREADS": "1",
    }
    words = [sys.executable, str(tmp_path / "work.py")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert done.stdout.strip().endswith("done")


POSIX_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix"}


def test_no_module_is_imported_that_only_posix_has() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}: {name}" for name in names if name in POSIX_MODULES]
    assert found == []


OPENERS = {"open", "read_text", "write_text", "fdopen", "NamedTemporaryFile", "TemporaryFile"}


def opens_text_without_encoding(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    owner = getattr(getattr(node.func, "value", None), "id", "")
    if name not in OPENERS or owner in ("os", "lmdb", "Image", "archive", "self"):
        return False
    if any(word.arg == "encoding" for word in node.keywords):
        return False
    modes = [word.value for word in node.keywords if word.arg == "mode"] + list(node.args)
    if name.endswith("text"):
        return len(node.args) < (1 if name == "read_text" else 2)
    texts = [getattr(mode, "value", None) for mode in modes]
    return not any(isinstance(text, str) and "b" in text and len(text) <= 3 for text in texts)


@pytest.mark.parametrize("folder", ["moleblend_plugin", "tools", "examples", "setup.py"])
def test_files_of_text_say_their_encoding(folder: str) -> None:
    """Without, a file means something else on a machine with another language."""
    place = ROOT / folder
    found = []
    for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{path.name}:{n.lineno}" for n in ast.walk(tree) if opens_text_without_encoding(n)]
    assert found == []


def test_a_screen_that_lacks_a_character_ends_no_command(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("smiles,µ [°C]\nCCO,1\nCCN,2\n", encoding="utf-8")
    words = ["build", table, "--out", tmp_path / "s µ", "--conformers", "none", "--workers", "1"]
    command = [sys.executable, "-m", "moleblend_plugin.cli.main", *map(str, words), "--target-columns", "all"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert rb"\xb5 [\xb0C]" in done.stdout
