"""Whether ``--compile`` will find the compiler that it needs: asked before anything is built.

torch looks for it at the first update, and what it says then is a traceback of over a hundred lines. On a CPU
it compiles C++ that includes Python's headers; on a GPU, Triton compiles a little C that does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from typing import Final

from moleblend_plugin.errors import MoleblendError

_SECONDS: Final = 60.0
"""Longest wait for a compiler's answer."""

_PROGRAMS: Final = {
    "c++": "#include <Python.h>\n#include <vector>\nstd::vector<int> moleblend;\n",
    "c": "#include <Python.h>\nint moleblend;\n",
}


def check_compiler(device: str) -> None:
    """Refuse ``--compile`` where no compiler works.

    Args:
        device: "cpu" or "cuda"; others need none that can be tried here.

    Raises:
        MoleblendError: there is none, or it fails on a small program; names the variable and the remedy.
    """
    if device not in ("cpu", "cuda") or os.name == "nt":
        return
    language, variable = ("c++", "CXX") if device == "cpu" else ("c", "CC")
    usual = _usual(language)
    command = os.environ.get(variable) or usual
    given = f"{variable}={command}" if os.environ.get(variable) else command
    why = _trouble(command, language)
    if why:
        name, package = {"c++": ("C++", "g++"), "c": ("C", "gcc")}[language]
        raise MoleblendError(
            f"--compile needs a {name} compiler, and {given} {why}: install one (Debian: apt install "
            f"{package} python3-dev), set {variable} to it, or leave --compile out"
        )


def _usual(language: str) -> str:
    """What torch takes for C++, and Triton for C, where no variable says otherwise."""
    if language == "c++":
        return "clang++" if sys.platform == "darwin" else "g++"
    return next((name for name in ("gcc", "clang") if shutil.which(name)), "gcc")


def _trouble(command: str, language: str) -> str:
    """Why a compiler cannot be used, in words; empty where it can."""
    if shutil.which(command) is None:
        return "is not there"
    include = f"-I{sysconfig.get_path('include')}"
    words = [command, "-x", language, "-fsyntax-only", include, "-"]
    try:
        done = subprocess.run(
            words, input=_PROGRAMS[language], capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer ({getattr(error, 'strerror', None) or 'no end'})"
    if done.returncode == 0:
        return ""
    first = next((line for line in done.stderr.splitlines() if "error" in line), "") or done.stderr.strip()
    return f"fails on a small program ({' '.join(first.split())[:200] or f'exit code {done.returncode}'})"
