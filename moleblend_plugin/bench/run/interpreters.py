"""Other programs' packages, where need be in another Python than this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from moleblend_plugin.errors import MoleblendError


def run_python(python: str, code: str, words: Sequence[str]) -> int:
    """Run ``code`` with arguments; what it prints goes where this process prints.

    Args:
        python: interpreter, "" for this one.
        code: as after ``python -c``.
        words: ``sys.argv[1:]`` of the code.

    Returns:
        The exit code.
    """
    return subprocess.run([python or sys.executable, "-c", code, *words], env=_env(python)).returncode


def version_in(python: str, package: str) -> str:
    """Version of an installed package, "" where it is not installed.

    Args:
        python: interpreter, "" for this one.
        package: as ``pip`` calls it.

    Raises:
        MoleblendError: the interpreter cannot be run.
    """
    code = (
        "import sys\nfrom importlib import metadata\n"
        "try: print(metadata.version(sys.argv[1]))\nexcept metadata.PackageNotFoundError: pass"
    )
    words = [python or sys.executable, "-c", code, package]
    try:
        done = subprocess.run(words, env=_env(python), capture_output=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MoleblendError(f"{words[0]} cannot be run ({error}): correct python") from error
    return done.stdout.strip()


def _env(python: str) -> dict[str, str]:
    """Without our paths for another interpreter, which has packages of its own."""
    if not python:
        return dict(os.environ)
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
