"""Notebooks as they are kept: valid, without outputs, true to what they quote. `make notebooks` runs them."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_are_four_and_their_page_lists_them() -> None:
    names = {path.name for path in NOTEBOOKS}
    assert len(names) == 4
    for page in ("examples/notebooks/README.md", "docs/howto/notebooks.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    code = cells(path, "code")
    assert len(code) >= 5
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    assert any("assert " in source(cell) for cell in code), "a cell checks a result"
    for cell in code:
        ast.parse(source(cell))
    assert source(cells(path, "markdown")[0]).startswith("# ")


def test_the_plugin_of_the_notebook_is_the_tested_one() -> None:
    (book,) = [path for path in NOTEBOOKS if path.stem == "custom_loss"]
    texts = [
        node.value
        for cell in cells(book, "code")
        for node in ast.walk(ast.parse(source(cell)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert (ROOT / "tests" / "user_plugin" / "__init__.py").read_text(encoding="utf-8") in texts
