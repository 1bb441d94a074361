"""--compile asks for its compiler before anything is built, with either trainer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.compiler import check_compiler
from moleblend_plugin.trainer import main as command
from tests.tasks.test_pretrain import write_stores
from tests.trainers import PRETRAIN


@pytest.fixture(autouse=True)
def _no_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)


def script(folder: Path, text: str) -> str:
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(("device", "variable"), [("cpu", "CXX"), ("cuda", "CC")])
def test_a_compiler_that_works_is_accepted(device: str, variable: str) -> None:
    if not (shutil.which("g++") and shutil.which("gcc")):
        pytest.skip("no compiler here")
    check_compiler(device)
    check_compiler("mps")  # compiles nothing on the host that could be tried


@pytest.mark.parametrize(("device", "variable"), [("cpu", "CXX"), ("cuda", "CC")])
def test_a_variable_that_names_nothing(monkeypatch: pytest.MonkeyPatch, device: str, variable: str) -> None:
    monkeypatch.setenv(variable, "/nowhere/compiler")
    with pytest.raises(
        MoleblendError, match=rf"{variable}=/nowhere/compiler is not there: install one .* {variable}"
    ):
        check_compiler(device)


def test_no_compiler_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MoleblendError, match=r"needs a C\+\+ compiler, and (g|clang)\+\+ is not there"):
        check_compiler("cpu")
    with pytest.raises(MoleblendError, match=r"needs a C compiler, and gcc is not there"):
        check_compiler("cuda")


def test_a_compiler_without_pythons_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = "echo 'x.cpp:1:10: fatal error: Python.h: No such file or directory' >&2; exit 1"
    monkeypatch.setenv("CXX", script(tmp_path, words))
    with pytest.raises(
        MoleblendError, match=r"fails on a small program \(.*Python\.h: No such file.*python3-dev"
    ):
        check_compiler("cpu")


def test_what_is_named_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(MoleblendError, match=r"CXX=false fails on a small program \(exit code 1\)"):
        check_compiler("cpu")


def test_the_embedded_trainer_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was a traceback of 137 lines at the first update."""
    data = write_stores(tmp_path, {"train": [4, 5], "valid": [4]})
    monkeypatch.setenv("CXX", "/nowhere/c++")
    run = tmp_path / "run"
    words = [data, *PRETRAIN, "--cpu", "--compile", "--max-update", 1, "--save-dir", run]
    assert command.main([str(word) for word in words]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("error: --compile needs a C++ compiler, and CXX=/nowhere/c++ is not there")
    assert not run.exists()
