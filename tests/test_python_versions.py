"""One minimum of Python everywhere, and nothing that needs a newer one."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def stated() -> dict[str, str]:
    """The minimum as each place has it."""
    makefile, readme, pins = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "README.md", "requirements.txt")
    )
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, tools = metadata["project"], metadata["tool"]
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")

    def found(pattern: str, text: str) -> str:
        match = re.search(pattern, text)
        assert match is not None, pattern
        return ".".join(match.groups())

    classifiers = re.findall(r"Programming Language :: Python :: (3\.\d+)", " ".join(project["classifiers"]))
    tested = re.findall(r'"(3\.\d+)"', found(r"python: \[(.+)\]", workflow))
    assert tested == classifiers
    return {
        "requires-python": project["requires-python"].removeprefix(">="),
        "classifiers": min(classifiers, key=lambda version: int(version.split(".")[1])),
        "ruff": found(r"py(3)(\d+)", tools["ruff"]["target-version"]),
        "mypy": tools["mypy"]["python_version"],
        "Makefile": found(r"sys\.version_info >= \((3), (\d+)\)", makefile),
        "README": found(r"Python (3\.\d+)\+", readme),
        "requirements.txt": found(r"Python (3\.\d+) or newer", pins),
    }


def test_every_place_states_the_same_minimum() -> None:
    assert set(stated().values()) == {"3.11"}, stated()


def test_the_package_is_written_for_it() -> None:
    for path in sorted((ROOT / "moleblend_plugin").rglob("*.py")):
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 11))
